"""Pages of figures and tables: each is one HTML file that needs no network and no JavaScript, light or dark.

Export, load test and benchmarks say what is shown; `page` and `chart` decide what it looks like.
"""
