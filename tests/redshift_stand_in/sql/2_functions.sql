-- Redshift's functions that PostgreSQL lacks (in pg_catalog, with signatures of their own), and those of which
-- PostgreSQL means something else (in rs; functions.py writes rs.NAME for NAME).
set allow_system_table_mods = on;

-- Dates and times ----------------------------------------------------------------------------------------------------

create function pg_catalog.getdate() returns timestamp language sql stable as $$
    select date_trunc('second', statement_timestamp() at time zone 'utc')
$$;
-- None of these are strict, and each is one expression of its arguments: PostgreSQL then puts that into the query, and
-- computes what depends on the part of the date once. Without a value they are NULL all the same.
create function rs.unit(part text) returns text language sql immutable as $$
    select case
        when lower(part) in ('years', 'year', 'y', 'yr', 'yrs') then 'year'
        when lower(part) in ('quarters', 'quarter', 'qtr', 'qtrs') then 'quarter'
        when lower(part) in ('months', 'month', 'mon', 'mons') then 'month'
        when lower(part) in ('weeks', 'week', 'w') then 'week'
        when lower(part) in ('days', 'day', 'd') then 'day'
        when lower(part) in ('hours', 'hour', 'h', 'hr', 'hrs') then 'hour'
        when lower(part) in ('minutes', 'minute', 'm', 'min', 'mins') then 'minute'
        when lower(part) in ('seconds', 'second', 's', 'sec', 'secs') then 'second'
        when lower(part) in ('milliseconds', 'millisecond', 'ms', 'msec', 'msecs') then 'millisecond'
        when lower(part) in ('microseconds', 'microsecond', 'us', 'usec', 'usecs') then 'microsecond'
        else lower(part)
    end
$$;
create function rs.other_interval(part text) returns interval language sql immutable strict as $$
    select ('1 ' || part)::interval
$$;
create function pg_catalog.dateadd(part text, number numeric, moment timestamp) returns timestamp
language sql immutable as $$
    select moment + trunc(number)::double precision * case rs.unit(part)
        when 'year' then interval '1 year'
        when 'quarter' then interval '3 month'
        when 'month' then interval '1 month'
        when 'day' then interval '1 day'
        when 'hour' then interval '1 hour'
        when 'minute' then interval '1 minute'
        when 'second' then interval '1 second'
        else rs.other_interval(rs.unit(part))
    end
$$;
create function pg_catalog.dateadd(part text, number numeric, moment timestamptz) returns timestamptz
language sql stable as $$ select dateadd(part, number, moment at time zone 'utc') at time zone 'utc' $$;
create function pg_catalog.dateadd(part text, number numeric, day date) returns timestamp
language sql immutable as $$ select dateadd(part, number, day::timestamp) $$;
create function pg_catalog.dateadd(part text, number numeric, moment text) returns timestamp
language sql stable as $$ select dateadd(part, number, moment::timestamp) $$;

-- Counts the boundaries that are crossed.
create function pg_catalog.datediff(part text, a timestamp, b timestamp) returns bigint
language sql immutable as $$
    select case rs.unit(part)
        when 'year' then (extract(year from b) - extract(year from a))::bigint
        when 'quarter' then (
            (extract(year from b) - extract(year from a)) * 4 + extract(quarter from b) - extract(quarter from a)
        )::bigint
        when 'month' then (
            (extract(year from b) - extract(year from a)) * 12 + extract(month from b) - extract(month from a)
        )::bigint
        when 'day' then (b::date - a::date)::bigint
        when 'millisecond' then floor(
            extract(epoch from date_trunc('milliseconds', b) - date_trunc('milliseconds', a)) * 1000
        )::bigint
        when 'microsecond' then (extract(epoch from b - a) * 1000000)::bigint
        else (
            extract(epoch from date_trunc(rs.unit(part), b) - date_trunc(rs.unit(part), a))
            / case rs.unit(part) when 'hour' then 3600 when 'minute' then 60 else 1 end
        )::bigint
    end
$$;
create function pg_catalog.datediff(part text, a timestamptz, b timestamptz) returns bigint
language sql stable as $$ select datediff(part, a at time zone 'utc', b at time zone 'utc') $$;
create function pg_catalog.datediff(part text, a date, b date) returns bigint
language sql immutable as $$ select datediff(part, a::timestamp, b::timestamp) $$;
create function pg_catalog.datediff(part text, a text, b text) returns bigint
language sql stable as $$ select datediff(part, a::timestamp, b::timestamp) $$;

create function pg_catalog.last_day(moment timestamp) returns date
language sql immutable strict as $$ select (date_trunc('month', moment) + interval '1 month - 1 day')::date $$;
create function pg_catalog.add_months(moment timestamp, months integer) returns timestamp
language sql immutable strict as $$
    select case
        when moment::date = last_day(moment)
            then last_day(moment + months * interval '1 month')::timestamp + moment::time
        else moment + months * interval '1 month'
    end
$$;
create function pg_catalog.trunc(moment timestamp) returns date
language sql immutable strict as $$ select moment::date $$;
create function pg_catalog.convert_timezone(source text, target text, moment timestamp) returns timestamp
language sql stable strict as $$ select (moment at time zone source) at time zone target $$;
create function pg_catalog.convert_timezone(target text, moment timestamp) returns timestamp
language sql stable strict as $$ select (moment at time zone 'utc') at time zone target $$;

create function rs.date_trunc(part text, moment timestamp) returns timestamp
language sql immutable as $$ select pg_catalog.date_trunc(part, moment) $$;
create function rs.date_trunc(part text, moment timestamptz) returns timestamptz
language sql stable as $$ select pg_catalog.date_trunc(part, moment) $$;
create function rs.date_trunc(part text, day date) returns timestamp
language sql immutable as $$ select pg_catalog.date_trunc(part, day::timestamp) $$;

-- Text ---------------------------------------------------------------------------------------------------------------

create function pg_catalog.len(value text) returns integer language sql immutable strict as $$ select length(value) $$;
create function pg_catalog.charindex(part text, value text) returns integer
language sql immutable strict as $$ select strpos(value, part) $$;
create function pg_catalog.sha2(value text, bits integer) returns text language sql immutable strict as $$
    select encode(case bits
        when 224 then sha224(convert_to(value, 'utf8'))
        when 384 then sha384(convert_to(value, 'utf8'))
        when 512 then sha512(convert_to(value, 'utf8'))
        else sha256(convert_to(value, 'utf8'))
    end, 'hex')
$$;
create function pg_catalog.strtol(value text, base integer) returns bigint language plpgsql immutable strict as $$
declare
    result bigint := 0;
    digit text;
begin
    foreach digit in array regexp_split_to_array(lower(value), '') loop
        result := result * base + strpos('0123456789abcdefghijklmnopqrstuvwxyz', digit) - 1;
    end loop;
    return result;
end
$$;
create function pg_catalog.json_extract_path_text(value text, variadic path text[]) returns text
language sql immutable strict as $$ select coalesce(value::json #>> path, '') $$;
create function pg_catalog.is_valid_json(value text) returns boolean language plpgsql immutable strict as $$
begin
    perform value::json;
    return true;
exception when others then
    return false;
end
$$;
create function rs.concat(a text, b text) returns text language sql immutable as $$ select a || b $$;
create function rs.regexp_replace(
    value text, pattern text, replacement text default '', start integer default 1, flags text default ''
) returns text language sql immutable as $$
    select left(value, start - 1) || pg_catalog.regexp_replace(
        substr(value, start), pattern, regexp_replace(replacement, '\$(\d)', '\\\1', 'g'),
        'g' || replace(flags, 'p', '')
    )
$$;
create function rs.regexp_substr(
    value text, pattern text, start integer default 1, occurrence integer default 1, flags text default 'c'
) returns text language sql immutable as $$
    select coalesce(pg_catalog.regexp_substr(
        value, pattern, start, occurrence, replace(replace(flags, 'p', ''), 'e', ''),
        case when strpos(flags, 'e') > 0 then 1 else 0 end
    ), '')
$$;

-- Numbers ------------------------------------------------------------------------------------------------------------

-- Those of integers keep the type that they had before those of floats.
do $do$
declare
    function_name text;
    type_name text;
begin
    foreach function_name in array array['round', 'trunc'] loop
        foreach type_name in array array['smallint', 'integer', 'bigint'] loop
            execute format(
                'create function pg_catalog.%1$I(value %2$s, digits integer) returns numeric '
                'language sql immutable strict as $body$ select %1$I(value::numeric, digits) $body$',
                function_name, type_name
            );
        end loop;
        execute format(
            'create function pg_catalog.%1$I(value double precision, digits integer) returns double precision '
            'language sql immutable strict as $body$ select %1$I(value::numeric, digits)::double precision $body$',
            function_name
        );
    end loop;
end
$do$;

-- Casts --------------------------------------------------------------------------------------------------------------

create function rs.try_cast(value text, target anyelement) returns anyelement language plpgsql stable as $$
begin
    execute format('select cast(%L as %s)', value, pg_typeof(target)) into target;
    return target;
exception when data_exception then
    return null;
end
$$;
-- The same for the types that are cast to for every row of a table: a statement that is put together is parsed each time.
do $do$
declare
    type_name text;
begin
    foreach type_name in array array['smallint', 'integer', 'bigint', 'numeric', 'double precision', 'date', 'timestamp'] loop
        execute format($$
            create function rs.try_cast(value text, target %1$s) returns %1$s language plpgsql stable as $body$
            begin
                return cast(value as %1$s);
            exception when data_exception then
                return null;
            end
            $body$
        $$, type_name);
    end loop;
end
$do$;
create function rs.boolean_to_text(value boolean) returns text language plpgsql as $$
begin
    perform rs.refuse('boolean_to_text', 'cannot cast type boolean to character varying');
end
$$;
create function rs.boolean_to_varchar(value boolean) returns varchar language plpgsql as $$
begin
    perform rs.refuse('boolean_to_text', 'cannot cast type boolean to character varying');
end
$$;
update pg_cast set castfunc = 'rs.boolean_to_text(boolean)'::regprocedure
where castsource = 'bool'::regtype and casttarget = 'text'::regtype;
update pg_cast set castfunc = 'rs.boolean_to_varchar(boolean)'::regprocedure
where castsource = 'bool'::regtype and casttarget = 'varchar'::regtype;
create function pg_catalog.nvl2(value anyelement, a anycompatible, b anycompatible) returns anycompatible
language sql immutable as $$ select case when value is not null then a else b end $$;

-- Aggregates ---------------------------------------------------------------------------------------------------------

create function rs.median_of(list double precision[]) returns double precision language sql immutable as $$
    select percentile_cont(0.5) within group (order by value) from unnest(list) as value
$$;
create aggregate pg_catalog.median(double precision) (
    sfunc = array_append, stype = double precision[], finalfunc = rs.median_of, initcond = '{}'
);
-- The average of integers is a truncated BIGINT.
create function rs.truncated_average(state numeric[]) returns bigint language sql immutable as $$
    select trunc(state[1] / nullif(state[2], 0))::bigint
$$;
do $do$
declare
    type_name text;
begin
    foreach type_name in array array['smallint', 'integer', 'bigint'] loop
        execute format($$
            create function rs.add_to_average(state numeric[], value %1$s) returns numeric[] language sql immutable as
                'select case when value is null then state else array[state[1] + value, state[2] + 1] end';
            create aggregate rs.avg(%1$s) (
                sfunc = rs.add_to_average, stype = numeric[], finalfunc = rs.truncated_average, initcond = '{0,0}'
            );
        $$, type_name);
    end loop;
end
$do$;
create aggregate rs.avg(numeric) (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg);
create aggregate rs.avg(double precision) (
    sfunc = float8_accum, stype = float8[], finalfunc = float8_avg, initcond = '{0,0,0}'
);
create function rs.first_of(a anyelement, b anyelement) returns anyelement
language sql immutable as $$ select coalesce(a, b) $$;
create aggregate rs.any_value(anyelement) (sfunc = rs.first_of, stype = anyelement);
