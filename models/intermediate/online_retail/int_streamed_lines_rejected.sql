{% set content = [
    'invoice_no', 'stock_code', 'customer_id', 'description', 'country', 'quantity', 'unit_price', 'invoiced_at',
    'raw_record', 'rejection_reason', 'rejection_detail',
] %}

-- Without CTEs of whole tables: DuckDB would store each that is read twice.
with first_lines as (

    select * from {{ ref('stg_online_retail__streamed_lines') }}
    where not is_repeated

),

repeated_lines as (

    select * from {{ ref('stg_online_retail__streamed_lines') }} as streamed_lines
    where
        is_repeated
        -- Where a file has the line, it counts.
        and not exists (
            select 1
            from {{ ref('stg_online_retail__invoice_lines') }} as invoice_lines
            where
                {{ delivery_name('invoice_lines.file_name') }} = {{ delivery_name('streamed_lines.file_name') }}
                and invoice_lines.row_number = streamed_lines.row_number
        )

)

-- Only lines that another line replaces: no other line can contradict one that counts.
{% for replaced, counted in [
    (ref('stg_online_retail__streamed_lines'), ref('stg_online_retail__invoice_lines')),
    ('repeated_lines', 'first_lines'),
] %}
select
    cast('streamed_lines' as varchar(100)) as table_name,
    replaced.landing_file as file_name,
    replaced.landing_position as row_number,
    cast('duplicate_key' as varchar(100)) as reason,
    left(
        'the line ' || replaced.file_name || ':' || cast(replaced.row_number as varchar)
        || ' is in a file, or was landed before, with other content',
        1000
    ) as detail,
    -- The line itself is not stored if it could have been accepted; it is rebuilt from its values.
    coalesce(replaced.raw_record, {{ online_retail_record('replaced') }}) as raw_record,
    false as is_of_left_out_file
from {{ replaced }} as replaced
inner join {{ counted }} as counted
    on
        {{ delivery_name('replaced.file_name') }} = {{ delivery_name('counted.file_name') }}
        and replaced.row_number = counted.row_number
where
    not (
        {% for column in content %}
        coalesce(
            replaced.{{ column }} = counted.{{ column }},
            replaced.{{ column }} is null and counted.{{ column }} is null
        )
        {% if not loop.last %}
        and
        {% endif %}
        {% endfor %}
    )
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
