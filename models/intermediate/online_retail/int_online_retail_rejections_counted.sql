{{ rejections_counted({'invoice_lines': 'int_invoice_lines_unioned'}, ['int_invoice_lines_rejected']) }}
