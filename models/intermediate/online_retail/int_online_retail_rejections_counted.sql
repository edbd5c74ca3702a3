{{ rejections_counted({'stg_online_retail__invoice_lines': 'int_invoice_lines_rejected'}) }}
