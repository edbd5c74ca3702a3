{% set content = row_content(
    ['invoice_no', 'stock_code', 'description', 'customer_id', 'country'], ['quantity', 'invoiced_at', 'unit_price']
) %}

with files as (

    select
        file_name,
        count(*) as row_count,
        sum(case when has_other_date_order then 1 else 0 end) as rows_of_other_order,
        sum(case when is_date_order_certain then 1 else 0 end) as rows_of_this_order,
        sum(case when not is_date_order_certain then 1 else 0 end) as rows_of_either_order
    from {{ ref('stg_online_retail__invoice_lines') }}
    group by file_name

),

-- More dates can only be read with day and month exchanged than can only be read as they are, so the dates that can be
-- read both ways would be read wrongly.
of_other_order as (

    select * from files
    where
        rows_of_other_order > rows_of_this_order
        and rows_of_either_order > 0

),

invoice_lines as (

    select
        invoice_lines.*,
        {{ delivery_name('invoice_lines.file_name') }} as delivery
    from {{ ref('int_invoice_lines_unioned') }} as invoice_lines
    left join of_other_order
        on
            invoice_lines.file_name = of_other_order.file_name
            and not invoice_lines.is_streamed
    where of_other_order.file_name is null

),

deliveries as (

    select
        delivery,
        max(case when not is_streamed then file_name end) as file_name,
        count(*) as row_count
    from invoice_lines
    group by delivery

),

-- Equal rows have the same invoice, and hardly any invoice is in two deliveries.
shared_invoices as (

    select invoice_no as shared_invoice_no
    from invoice_lines
    where invoice_no is not null
    group by invoice_no
    having min(delivery) <> max(delivery)

),

contents as (

    select
        rows_of_deliveries.delivery,
        rows_of_deliveries.row_content,
        count(*) as row_count
    from (
        select
            invoice_lines.delivery,
            {{ content }} as row_content
        from invoice_lines
        inner join shared_invoices
            on invoice_lines.invoice_no = shared_invoices.shared_invoice_no
    ) as rows_of_deliveries
    group by rows_of_deliveries.delivery, rows_of_deliveries.row_content

),

pairs as (

    select
        own.delivery,
        same.delivery as other_delivery,
        sum(least(own.row_count, same.row_count)) as shared_rows
    from contents as own
    inner join contents as same
        on
            own.row_content = same.row_content
            and own.delivery <> same.delivery
    group by own.delivery, same.delivery

),

-- Rows without an invoice, which are rejected, are compared only where others agree.
contents_without_invoice as (

    select
        rows_of_deliveries.delivery,
        rows_of_deliveries.row_content,
        count(*) as row_count
    from (
        select
            invoice_lines.delivery,
            {{ content }} as row_content
        from invoice_lines
        inner join (select distinct delivery from pairs) as delivered_again
            on invoice_lines.delivery = delivered_again.delivery
        where invoice_lines.invoice_no is null
    ) as rows_of_deliveries
    group by rows_of_deliveries.delivery, rows_of_deliveries.row_content

),

pairs_without_invoice as (

    select
        pairs.delivery,
        pairs.other_delivery,
        sum(least(own.row_count, same.row_count)) as shared_rows
    from pairs
    inner join contents_without_invoice as own
        on pairs.delivery = own.delivery
    inner join contents_without_invoice as same
        on
            pairs.other_delivery = same.delivery
            and own.row_content = same.row_content
    group by pairs.delivery, pairs.other_delivery

),

shared as (

    select
        coalesce(own.file_name, own.delivery) as file_name,
        own.file_name is null as is_streamed,
        coalesce(same.file_name, same.delivery) as other_name,
        own.row_count,
        same.row_count as other_row_count,
        pairs.shared_rows + coalesce(pairs_without_invoice.shared_rows, 0) as shared_rows
    from pairs
    inner join deliveries as own
        on pairs.delivery = own.delivery
    inner join deliveries as same
        on pairs.other_delivery = same.delivery
    left join pairs_without_invoice
        on
            pairs.delivery = pairs_without_invoice.delivery
            and pairs.other_delivery = pairs_without_invoice.other_delivery

),

judged as (

    select
        shared.*,
        case
            -- Of two files with the same rows the first by name is kept. Of a file and a stream, the stream is kept.
            when
                not shared.is_streamed
                and shared.shared_rows = shared.row_count
                and (
                    shared.row_count < shared.other_row_count
                    or shared.file_name > shared.other_name
                    or files.file_name is null
                )
                then 'repeated'
            when shared.shared_rows >= 100 and 2 * shared.shared_rows > shared.row_count then 'partly_repeated'
        end as verdict
    from shared
    left join files
        on shared.other_name = files.file_name

),

repeated as (

    select distinct file_name from judged
    where verdict = 'repeated'

),

ranked as (

    select
        judged.*,
        row_number() over (
            partition by judged.file_name
            order by
                case when judged.verdict = 'repeated' then 1 else 2 end asc,
                judged.other_row_count desc,
                judged.other_name asc
        ) as place
    from judged
    left join repeated
        on judged.other_name = repeated.file_name
    where
        judged.verdict = 'repeated'
        -- Rows that count only once are no reason for a warning.
        or (judged.verdict is not null and repeated.file_name is null)

)

select
    file_name,
    cast('other_date_order' as varchar(20)) as verdict,
    cast(null as varchar(1000)) as other_name,
    cast(
        'the dates of ' || cast(rows_of_other_order as varchar) || ' of the ' || cast(row_count as varchar)
        || ' rows of the file can only be read with day and month exchanged, those of '
        || cast(rows_of_this_order as varchar) || ' only as they stand' as varchar(1000)
    ) as detail
from of_other_order
union all
select
    file_name,
    cast(verdict as varchar(20)) as verdict,
    cast(other_name as varchar(1000)) as other_name,
    cast(
        case
            when verdict = 'repeated' then 'all rows of the file are in ' || other_name || ' as well'
            else cast(shared_rows as varchar) || ' of the ' || cast(row_count as varchar)
                || ' rows of the ' || case when is_streamed then 'stream' else 'file' end || ' are in ' || other_name
                || ' as well'
        end as varchar(1000)
    ) as detail
from ranked
where place = 1
