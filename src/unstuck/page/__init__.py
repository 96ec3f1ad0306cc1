"""Reports as one page of HTML that needs nothing else: no script, no network. Pictures are static SVG."""
