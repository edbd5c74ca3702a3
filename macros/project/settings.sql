{% macro settings() %}
    {{ return({
        'vars': {
            'max_rejected_share': {'type': 'number', 'min': 0, 'max': 1},
            'max_rejected_rows': {'type': 'integer', 'min': 0},
            'max_rejected_share_of_file': {'type': 'number', 'min': 0, 'max': 1},
            'max_rejected_rows_of_file': {'type': 'integer', 'min': 0, 'optional': true},
            'complete_histories': {'type': 'boolean'},
            'online_retail_day_first': {'type': 'boolean'},
            'online_retail_complete': {'type': 'boolean'},
            'training_orders': {'type': 'integer', 'min': 1},
            'training_orders_per_user': {'type': 'integer', 'min': 1, 'max': 1000},
            'min_history_orders': {'type': 'integer', 'min': 1},
            'pair_orders': {'type': 'integer', 'min': 1, 'max': 1000000},
            'pair_product_orders': {'type': 'integer', 'min': 1},
            'pairs_per_product': {'type': 'integer', 'min': 1},
            'stock_item_pair_baskets': {'type': 'integer', 'min': 1},
            'pair_report_product_share': {'type': 'number', 'min': 0, 'max': 1},
            'pair_report_share': {'type': 'number', 'min': 0, 'max': 1},
            'pair_report_orders': {'type': 'integer', 'min': 1},
            'frequent_user_days': {'type': 'integer', 'min': 1},
            'loyal_user_reorder_share': {'type': 'number', 'min': 0, 'max': 1},
            'reader': {'type': 'text', 'optional': true},
            'assume_incremental': {'type': 'boolean', 'optional': true},
        },
        'environment': {
            'DUCKDB_THREADS': ['0*[1-9][0-9]{0,3}', 'a whole number of 1 or more, or unset'],
            'INSTACART_DATA': ['[^\\x00-\\x1f]*', 'a folder or an s3:// prefix'],
            'ONLINE_RETAIL_DATA': ['[^\\x00-\\x1f]*', 'a folder or an s3:// prefix'],
            'ONLINE_RETAIL_LANDING': ['[^\\x00-\\x1f]*', 'a folder or an s3:// prefix'],
            'PARQUET_EXPORT': ['[^\\x00-\\x1f]*', 'a folder or an s3:// prefix'],
        },
    }) }}
{% endmacro %}
