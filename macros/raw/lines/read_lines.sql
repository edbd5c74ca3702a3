{% macro read_lines(path, encoding='utf-8', options='') %}
    {# No quote, no escape and a separator that no text file holds: every physical line is one value.
       The separator is the sequence 0x1E 0x1F 0x1E (record, unit, record separator of ASCII).
       strict_mode = false and parallel = false read LF and CRLF at every size. Row numbers make the scan sequential
       anyway: 33 million lines take 2.8 s either way. Where the first line ends with LF, each later CRLF counts as two
       line ends, so that an empty row is rejected after it; a carriage return alone ends a line. Where the first line
       ends with CRLF, DuckDB drops the byte after a carriage return alone, hence the refusal of such files in
       `retail_warehouse/raw_files.py`. #}
    {% set separator = '\x1e\x1f\x1e' %}
    {% set call %}
        read_csv(
            {{ path_literal(path) }},
            auto_detect = false, header = false, strict_mode = false, parallel = false,
            delim = '{{ separator }}', quote = '', escape = '', hive_partitioning = false,
            columns = {'line': 'VARCHAR'}, encoding = '{{ encoding }}',
            max_line_size = 16777216, buffer_size = 33554432{{ ', ' ~ options if options }}
        )
    {% endset %}
    {{ return(call) }}
{% endmacro %}
