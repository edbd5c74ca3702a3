{{ online_retail_lines_query('invoice_lines') }}
