{{ online_retail_lines('invoice_lines') }}
