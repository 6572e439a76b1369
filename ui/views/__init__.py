"""The pages; each module has a function `draw_page`.

The folder is not called `pages`, because Streamlit would run the modules of such a folder itself.
"""
