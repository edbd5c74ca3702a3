{# All of its SQL is in macros/staging/online_retail_lines_query.sql, which is linted as this model. #}
{{ online_retail_lines_query('invoice_lines') }}
