{% macro report_doubted_files(results) %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
        {% for result in results if result.status == 'success' and result.node.name == 'doubted_files' %}
            {% set doubted = run_query(
                'select source_name, file_name, verdict, detail from ' ~ result.node.relation_name ~ ' order by source_name, file_name'
            ) %}
            {% for row in doubted if loop.index <= 20 %}
                {% set what_to_do = {
                    'repeated': 'It is left out; remove it',
                    'partly_repeated': 'All of its rows count; check that they really should count twice',
                    'other_date_order': 'It is left out, and all others are built. Write its dates as 2010-12-01 08:26:00, or, if all '
                        ~ 'files have that order, declare it with the var online_retail_day_first',
                }[row['verdict']] %}
                {% do log('File ' ~ row['file_name'] ~ ': ' ~ row['detail'] ~ '. ' ~ what_to_do ~ '.', info=true) %}
            {% endfor %}
            {% if doubted | length > 20 %}
                {% do log('... and ' ~ (doubted | length - 20) ~ ' more files, listed in ' ~ result.node.relation_name ~ '.', info=true) %}
            {% endif %}
        {% endfor %}
        {% for result in results if result.status == 'fail' and result.node.name.endswith('rejected_rows_within_limit') %}
            {% for row in run_query(result.node.compiled_code) if row['file_name'] and loop.index <= 20 %}
                {% do log(
                    'File ' ~ row['file_name'] ~ ': ' ~ row['rejected_rows'] ~ ' of its ' ~ row['raw_rows']
                    ~ ' rows cannot be accepted, more than the vars max_rejected_share_of_file (' ~ var('max_rejected_share_of_file')
                    ~ ') and max_rejected_rows_of_file allow. No mart was changed. Correct or remove the file, or raise the limits with --vars.',
                    info=true
                ) %}
            {% endfor %}
        {% endfor %}
    {% endif %}
{% endmacro %}
