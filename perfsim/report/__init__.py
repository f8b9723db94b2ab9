"""Reports: from results to text, files and explanations. Nothing is computed here but layout."""
