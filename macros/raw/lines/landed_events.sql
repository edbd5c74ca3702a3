{% macro landed_events(folder, names) %}
    {# One reader over all files, which opens those alone that a filter on `landing_file` leaves.
       https://duckdb.org/docs/stable/data/json/loading_json #}
    {% set columns = "columns = {'event_id': 'VARCHAR', 'landing_position': 'INTEGER', 'line': 'VARCHAR', "
        ~ "'reason': 'VARCHAR', 'detail': 'VARCHAR'}" %}
    {% if not names %}
        {{ return(
            "(select '' as landing_file, '' as event_id, 0 as landing_position, '' as line, "
            ~ "'' as landed_reason, '' as landed_detail limit 0)"
        ) }}
    {% endif %}
    {% set paths = [] %}
    {% for name in names %}
        {% do paths.append(path_literal(folder ~ '/' ~ name)) %}
    {% endfor %}
    {{ return(
        '(select replace(substring(filename, ' ~ (folder | length + 2) ~ "), '\\', '/') as landing_file, event_id, "
        ~ 'landing_position, line, reason as landed_reason, detail as landed_detail from read_json([' ~ paths | join(', ') ~ "], format = 'newline_delimited', "
        ~ columns ~ ', hive_partitioning = false, filename = true))'
    ) }}
{% endmacro %}
