"""The pages; each module has a function `show` that draws one.

Not in a folder `pages`, which Streamlit would run itself.
"""
