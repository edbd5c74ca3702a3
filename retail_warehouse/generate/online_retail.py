"""Made-up Online Retail data in the official format, with the noise of the real file.

What the shares are tuned to: the complete file of the UCI Machine Learning Repository (doi 10.24432/C5BW33). It is
written as that file is commonly distributed: Latin-1, month-first dates.
"""

from pathlib import Path

import duckdb

from retail_warehouse.deliveries import refuse_other_deliveries
from retail_warehouse.generate import draws

# The bundled sample in seeds/samples/online_retail.
FILE = "data.csv"

_ITEMS = """
create table items as
with words as (
    select
        ['WHITE', 'RED', 'PINK', 'BLUE', 'IVORY', 'VINTAGE', 'RETRO', 'SET OF 3', 'SMALL', 'LARGE',
         'PACK OF 12', 'FRENCH'] as kinds,
        ['HEART', 'POLKADOT', 'UNION JACK', 'ROSE', 'STAR', 'CIRCUS PARADE', 'SPACEBOY', 'STRAWBERRY', 'PAISLEY',
         'GINGHAM', 'CAFÉ'] as motifs,
        ['T-LIGHT HOLDER', 'LUNCH BAG', 'CAKE STAND', 'MUG', 'BUNTING', 'HOT WATER BOTTLE', 'NOTEBOOK', 'DOORMAT',
         'JUMBO BAG', 'CAKE CASES', 'MONEY BOX, TIN', 'PHOTO FRAME', 'ALARM CLOCK', 'METAL SIGN "HOME"',
         '£1 SHOP SIGN'] as goods,
        [0.19, 0.42, 0.55, 0.85, 1.25, 1.65, 1.95, 2.1, 2.55, 2.95, 3.75, 4.95, 7.95, 12.75] as prices
)
select
    item,
    -- The letter at the end, where there is one, tells variants of one article apart.
    (20000 + item * 7 % 70000)::varchar
    || case
        when draw('letter', item, 0, 0) < 0.3 then chr(65 + floor(6 * draw('letter', item, 1, 0))::integer) else ''
    end as stock_code,
    kinds[1 + item % len(kinds)] || ' ' || motifs[1 + (item // len(kinds)) % len(motifs)] || ' '
    || goods[1 + (item // 3) % len(goods)]
    || case when draw('blank', item, 0, 0) < 0.2 then ' ' else '' end as description,
    prices[1 + floor(len(prices) * draw('price', item, 0, 0))::integer] as unit_price
from (select unnest(range({items})) as item), words
"""

_CUSTOMERS = """
create table customers as
select
    12346 + customer as customer_id,
    case
        when draw('country', customer, 0, 0) < 0.88 then 'United Kingdom'
        else ['Germany', 'France', 'EIRE', 'Spain', 'Netherlands', 'Belgium', 'Unspecified'
             ][1 + floor(7 * draw('country', customer, 1, 0))::integer]
    end as country
from (select unnest(range({customers})) as customer)
"""

# What an invoice is: 1 invoice in 7 is a cancellation, 1 in 15 writes off stock, 3 adjust bad debt.
_INVOICES = """
create table invoices as
with numbered as (
    select
        place,
        draw('kind', place, 0, 0) as kind,
        1 + floor({customers} * pow(draw('customer', place, 0, 0), 1.7))::integer as customer,
        -- The file covers 374 days, however many invoices fall on them; the shop writes them from 8:26 to 18:26.
        place * 374.0 / {invoices} as day,
        timestamp '2010-12-01 08:26:00' + to_days(floor(day)::integer)
        + to_minutes(floor(600 * (day - floor(day)))::integer) as invoiced_at
    from (select unnest(range({invoices})) as place)
),
typed as (
    select
        *,
        case
            when place in ({invoices} // 2, {invoices} // 2 + 1, {invoices} // 2 + 2) then 'bad_debt'
            when kind < 0.8 then 'sale'
            when kind < 0.935 then 'cancellation'
            else 'stock_adjustment'
        end as type
    from numbered
)
select
    typed.place,
    case type when 'cancellation' then 'C' when 'bad_debt' then 'A' else '' end || (536365 + place) as invoice_no,
    type,
    case
        when type in ('sale', 'cancellation') and draw('known', place, 0, 0) < 0.85 then customers.customer_id
    end as customer_id,
    case
        when type in ('bad_debt', 'stock_adjustment') then 'United Kingdom'
        -- Now and then a customer orders to another country.
        when draw('abroad', place, 0, 0) < 0.01 then 'Cyprus'
        else customers.country
    end as country,
    invoiced_at,
    draw('minute', place, 0, 0) < 0.01 and type = 'sale' as has_second_minute,
    case
        when type in ('bad_debt', 'stock_adjustment') then 1
        when type = 'cancellation' then 1 + floor(3 * draw('lines', place, 0, 0))::integer
        else 1 + floor(-14 * ln(1 - draw('lines', place, 0, 0)))::integer
    end as line_count
from typed
inner join customers on typed.customer = customers.customer_id - 12345
"""

_LINES = """
create table lines as
with places as (
    select *, unnest(range(1, line_count + 1))::integer as line
    from invoices
),
drawn as (
    select
        places.*,
        floor({items} * pow(draw('item', place, line, 0), 1.8))::integer as item,
        draw('noise', place, line, 0) as noise,
        [1, 1, 2, 3, 4, 6, 6, 8, 10, 12, 12, 24, 48][1 + floor(13 * draw('quantity', place, line, 0))::integer] as units
    from places
),
priced as (
    select
        place,
        line,
        invoice_no,
        case
            when type = 'bad_debt' then 'B'
            when type = 'sale' and country <> 'United Kingdom' and line = line_count then 'POST'
            when type = 'sale' and noise < 0.003 then 'DOT'
            when type = 'sale' and noise < 0.006 then 'M'
            when type = 'sale' and noise < 0.009 then 'C2'
            when type = 'cancellation' and noise < 0.05 then 'D'
            when type = 'cancellation' and noise < 0.08 then 'm'
            when type = 'cancellation' and noise < 0.1 then 'AMAZONFEE'
            when type = 'cancellation' and noise < 0.12 then 'BANK CHARGES'
            when noise > 0.985 then lower(items.stock_code)
            else items.stock_code
        end as stock_code,
        items.description,
        type,
        noise,
        case
            when type = 'cancellation' then -least(units, 12)
            when type = 'stock_adjustment' then -units
            when type = 'bad_debt' then 1
            else units
        end as quantity,
        invoiced_at + to_minutes((has_second_minute and line > line_count / 2)::integer) as invoiced_at,
        case
            when type = 'stock_adjustment' then 0
            when type = 'bad_debt' then case when place = {invoices} // 2 then 11062.06 else -11062.06 end
            when type = 'sale' and noise between 0.5 and 0.503 then 0
            when type = 'sale' and noise between 0.51 and 0.512 then 0.001
            -- Without a customer, orders of the web site, prices end differently.
            else items.unit_price + case when customer_id is null then 0.01 else 0 end
        end as unit_price,
        customer_id,
        country
    from drawn
    inner join items using (item)
),
described as (
    select
        * exclude (description),
        case
            when stock_code = 'POST' then 'POSTAGE'
            when stock_code = 'DOT' then 'DOTCOM POSTAGE'
            when stock_code in ('M', 'm') then 'Manual'
            when stock_code = 'C2' then 'CARRIAGE'
            when stock_code = 'D' then 'Discount'
            when stock_code = 'B' then 'Adjust bad debt'
            when stock_code = 'AMAZONFEE' then 'AMAZON FEE'
            when stock_code = 'BANK CHARGES' then 'Bank Charges'
            when type = 'stock_adjustment' then [null, 'damages', 'check', '?'][1 + floor(4 * noise)::integer]
            when type = 'sale' and noise between 0.5 and 0.502 then null
            when noise between 0.7 and 0.71 then trim(description) || ', NEW'
            else description
        end as description
    from priced
)
-- Every hundredth line or so is written twice.
select *, 1 as copy from described
union all
select *, 2 as copy from described where noise between 0.8 and 0.81 and type = 'sale'
"""

_FILE = """
select
    invoice_no as InvoiceNo,
    stock_code as StockCode,
    description as Description,
    quantity as Quantity,
    strftime(invoiced_at, '%-m/%-d/%Y %-H:%M') as InvoiceDate,
    rtrim(rtrim(unit_price::decimal(12, 3)::varchar, '0'), '.') as UnitPrice,
    customer_id as CustomerID,
    country as Country
from lines
order by place, line, copy
"""


def generate(invoices: int, seed: int, out: Path) -> dict[str, int]:
    """Write ``data.csv`` in the official format and return its number of rows by file name.

    A file that is already there is replaced at once when the new one is complete.

    Args:
        invoices: number of invoices, at least 1; 25,900 is the size of the published data set.
        seed: any integer from 0; the same arguments give the same bytes with the same version of DuckDB.
        out: folder for the file; made if missing.

    Raises:
        DataError: the folder holds another CSV file.
        OSError: the folder cannot be made or written to.
    """
    refuse_other_deliveries(out, FILE)
    out.mkdir(parents=True, exist_ok=True)
    part = out / f".{FILE}.part"
    customers = max(10, invoices // 6)
    with duckdb.connect() as connection:
        draws.create(connection, seed)
        connection.execute(_ITEMS.format(items=min(3_900, 60 + invoices)))
        connection.execute(_CUSTOMERS.format(customers=customers))
        connection.execute(_INVOICES.format(invoices=invoices, customers=customers))
        connection.execute(_LINES.format(invoices=invoices, items=min(3_900, 60 + invoices)))
        literal = str(part).replace("'", "''")
        [(rows,)] = connection.execute(f"copy ({_FILE}) to '{literal}' (format csv, header)").fetchall()
    part.write_bytes(part.read_text(encoding="utf-8").encode("latin-1"))
    part.replace(out / FILE)
    return {FILE: rows}
