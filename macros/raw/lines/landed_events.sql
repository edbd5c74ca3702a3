{% macro landed_events(folder, names) %}
    {# One reader over all files, which opens those alone that a filter on `landing_file` leaves.
       https://duckdb.org/docs/stable/data/json/loading_json #}
    {% set columns = "'event_id': 'VARCHAR', 'landing_position': 'INTEGER', 'line': 'VARCHAR', 'reason': 'VARCHAR', 'detail': 'VARCHAR'" %}
    {% set of_event = 'event_id, landing_position, line, reason as landed_reason, detail as landed_detail' %}
    {% set landed = [] %}
    {% set merged = [] %}
    {% for name in names %}
        {% do (merged if is_merged_file(name) else landed).append(path_literal(folder ~ '/' ~ name)) %}
    {% endfor %}
    {% set queries = [] %}
    {% if landed %}
        {% do queries.append(
            'select replace(substring(filename, ' ~ (folder | length + 2) ~ "), '\\', '/') as landing_file, " ~ of_event
            ~ ' from read_json([' ~ landed | join(', ') ~ "], format = 'newline_delimited', columns = {" ~ columns
            ~ '}, hive_partitioning = false, filename = true)'
        ) %}
    {% endif %}
    {% if merged %}
        {# Their rows have been processed: who looks for new ones (`before_processing`) does not open them. #}
        {% do queries.append(
            'select landing_file, ' ~ of_event ~ ' from read_json([' ~ merged | join(', ')
            ~ "], format = 'newline_delimited', columns = {'landing_file': 'VARCHAR', " ~ columns
            ~ "}, hive_partitioning = false) where getvariable('pending_files') is null"
        ) %}
    {% endif %}
    {% if not queries %}
        {{ return(
            "(select '' as landing_file, '' as event_id, 0 as landing_position, '' as line, "
            ~ "'' as landed_reason, '' as landed_detail limit 0)"
        ) }}
    {% endif %}
    {{ return('(' ~ queries | join(' union all ') ~ ')') }}
{% endmacro %}
