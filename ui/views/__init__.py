"""The pages; each module has a function `show` that draws one. (In a folder `pages`, Streamlit would run them itself.)"""
