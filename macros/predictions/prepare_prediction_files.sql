{% macro prepare_prediction_files() %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
        {% set wanted = [] %}
        {% for node_id in selected_resources if node_id in graph.nodes %}
            {% for parent in graph.nodes[node_id].depends_on.nodes
                if parent in graph.sources and graph.sources[parent].source_name == 'predictions'
                and graph.sources[parent] not in wanted %}
                {% do wanted.append(graph.sources[parent]) %}
            {% endfor %}
        {% endfor %}
        {% if wanted %}
            {% do adapter.dispatch('prepare_prediction_files', 'retail_warehouse')(wanted | sort(attribute='name')) %}
        {% endif %}
    {% endif %}
{% endmacro %}

{# Elsewhere (Redshift) the files are loaded before the build. #}
{% macro default__prepare_prediction_files(tables) %}{% endmacro %}

{% macro duckdb__prepare_prediction_files(tables) %}
    {% set meta = tables[0].source_meta %}
    {% set folder = data_folder({'folder_variable': meta.parquet_folder_variable, 'sample_folder': meta.default_folder}) %}
    {% set schema = api.Relation.create(schema=tables[0].schema).include(database=false, identifier=false) %}
    {% set problems = [] %}
    {% set missing = [] %}
    {% set statements = ['create schema if not exists ' ~ schema] %}
    {% for table in tables %}
        {% set file = path_literal(folder ~ '/' ~ table.name ~ '.parquet') %}
        {% if run_query('select file from glob(' ~ file ~ ')') | length == 0 %}
            {% do missing.append(table.name ~ '.parquet is missing') %}
        {% else %}
            {% set found = run_query('describe select * from read_parquet(' ~ file ~ ')').columns[0].values() %}
            {% for column in table.columns if column not in found %}
                {% do problems.append(table.name ~ '.parquet has no column ' ~ column) %}
            {% endfor %}
            {% do statements.append(
                'create or replace view ' ~ schema ~ '.' ~ table.identifier ~ ' as select '
                ~ table.columns | join(', ') ~ ' from read_parquet(' ~ file ~ ')'
            ) %}
        {% endif %}
    {% endfor %}
    {% set reports = graph.nodes.values() | selectattr('unique_id', 'in', selected_resources) | selectattr('fqn.1', 'equalto', 'reports') | list %}
    {# Whoever selects all that follows from the orders gets the predictions as well; where none was ever made, they are empty. #}
    {% if missing | length == tables | length and reports and not env_var(meta.parquet_folder_variable, '')
        and not has_model_runs() %}
        {% for table in tables %}
            {% set columns = [] %}
            {% for column in table.columns.values() %}
                {% do columns.append('cast(null as ' ~ column.data_type ~ ') as ' ~ column.name) %}
            {% endfor %}
            {% do statements.append(
                'create or replace view ' ~ schema ~ '.' ~ table.identifier ~ ' as select ' ~ columns | join(', ') ~ ' limit 0'
            ) %}
        {% endfor %}
        {% do log(
            'No predictions were made yet, so that their tables are empty. Make them: make predictions, or `retail-warehouse train` '
            ~ 'and `retail-warehouse predict`.', info=true
        ) %}
    {% else %}
        {% do problems.extend(missing) %}
    {% endif %}
    {% if problems %}
        {% do exceptions.raise_compiler_error(
            'The predictions in the folder "' ~ folder ~ '" cannot be read:\n  - ' ~ problems | join('\n  - ') ~ '\n'
            ~ 'Nothing was changed. Write them with `retail-warehouse train` and `retail-warehouse predict`, or set '
            ~ meta.parquet_folder_variable ~ ' to the folder where they are. To build without them: --exclude tag:predictions.'
        ) %}
    {% endif %}
    {% for statement in statements %}
        {% do run_query(statement) %}
    {% endfor %}
{% endmacro %}
