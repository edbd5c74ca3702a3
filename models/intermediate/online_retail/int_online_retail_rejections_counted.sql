{{ rejections_counted({'invoice_lines': 'stg_online_retail__invoice_lines'}, ['int_invoice_lines_rejected']) }}
