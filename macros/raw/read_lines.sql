{% macro read_lines(path, encoding='utf-8', options='') %}
    {# No quote, no escape and a separator that no text file holds: every physical line is one value.
       The separator is the sequence 0x1E 0x1F 0x1E (record, unit, record separator of ASCII).
       strict_mode = false, new_line = '\r\n' and parallel = false together read LF, CRLF and files that mix them. Left
       to detection, a file that goes over from LF to CRLF gets an empty line after each of the latter; read in
       parallel, files of hundreds of megabytes stop with an error. Row numbers make the scan sequential anyway: 33
       million lines take 2.8 s either way. A carriage return alone also ends a line. #}
    {% set separator = '\x1e\x1f\x1e' %}
    {% set call %}
        read_csv(
            {{ path_literal(path) }},
            auto_detect = false, header = false, strict_mode = false, new_line = '\r\n',
            parallel = false,
            delim = '{{ separator }}', quote = '', escape = '',
            columns = {'line': 'VARCHAR'}, encoding = '{{ encoding }}',
            max_line_size = 16777216, buffer_size = 33554432{{ ', ' ~ options if options }}
        )
    {% endset %}
    {{ return(call) }}
{% endmacro %}
