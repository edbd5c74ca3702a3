{% macro streamed_files(table) %}
    {% set variable = table.meta.landing_variable %}
    {% set is_streamed = env_var(variable, '') != '' %}
    {% set folder = data_folder({'folder_variable': variable}) if is_streamed else '' %}
    {% set processed = known_files(table) | list %}
    {% set listing = landed_files(folder, processed) if is_streamed else {'files': {}, 'problems': []} %}
    {% set problems = [] %}
    {% for problem in listing.problems %}
        {% do problems.append(variable ~ ' "' ~ folder ~ '": ' ~ problem) %}
    {% endfor %}
    {% if processed and not listing.files and not flags.FULL_REFRESH %}
        {% do problems.append(
            'none of the ' ~ processed | length ~ ' files of streamed rows that the warehouse was built from is there: '
            ~ variable ~ (' names "' ~ folder ~ '"' if is_streamed else ' is not set')
            ~ '. Set it to where they are; only with --full-refresh is the warehouse built without them'
        ) %}
    {% endif %}
    {% set files = [] %}
    {% for name, fingerprint in listing.files.items() %}
        {% do files.append({
            'table': table, 'name': name, 'encoding': 'utf-8',
            'fingerprint': fingerprint ~ fingerprint_of_settings(table.source_meta),
        }) %}
    {% endfor %}
    {{ return({'folder': folder, 'files': files, 'problems': problems}) }}
{% endmacro %}
