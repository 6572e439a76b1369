"""The page: Streamlit, knowing only the HTTP contract of the service."""
