"""Other ways to serve the same classifier, each as its own documentation would have it, for comparison only.

Each decodes with `data.images` and answers with the class and its probability; none checks, counts or limits anything.
"""
