{{ rejections_counted_query(
    {'invoice_lines': 'int_invoice_lines_unioned', 'streamed_lines': 'stg_online_retail__streamed_lines'},
    ['int_invoice_lines_rejected', 'int_streamed_lines_rejected']
) }}
