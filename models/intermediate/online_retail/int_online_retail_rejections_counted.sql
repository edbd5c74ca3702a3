{# All of its SQL is in macros/intermediate/rejections_counted_query.sql, which is linted as this model. #}
{{ rejections_counted_query(
    {'invoice_lines': 'int_invoice_lines_unioned', 'streamed_lines': 'stg_online_retail__streamed_lines'},
    ['int_invoice_lines_rejected', 'int_streamed_lines_rejected']
) }}
