"""Other ways to serve the same classifier, each as its own documentation recommends, for comparison only.

Each decodes with `data.images` and answers with the class and its probability; none validates, counts or limits
anything.
"""
