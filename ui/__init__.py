"""The page, in Streamlit; it knows only the service's HTTP contract."""
