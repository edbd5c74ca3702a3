-- COPY and UNLOAD. They run in the session, so that they see its transaction and end with it; what has to do with
-- Parquet, they ask of s3.py, which answers with files.
grant pg_read_server_files, pg_write_server_files to "{user}";

-- Writes a request into the spool folder and waits for the answer. A refusal in it is raised here.
create function rs.ask(request jsonb) returns jsonb language plpgsql security definer as $$
declare
    path text := '{spool}/' || gen_random_uuid();
    answer jsonb;
begin
    execute format('copy (select %L) to %L (format csv, delimiter E''\x01'', quote E''\x02'')',
        request::text, path || '.request');
    execute format('copy (select 1) to %L', path || '.ready');
    for round in 1 .. 60000 loop
        exit when (pg_stat_file(path || '.answer', true)).size is not null;
        perform pg_sleep(0.01);
    end loop;
    answer := pg_read_file(path || '.answer')::jsonb;
    if answer ? 'rule' then
        perform rs.refuse(answer ->> 'rule', answer ->> 'detail');
    elsif answer ? 'failure' then
        perform rs.fail(answer ->> 'failure');
    end if;
    return answer;
end
$$;

create function rs.columns_of(relation oid) returns jsonb language sql stable as $$
    select jsonb_agg(
        jsonb_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) order by attnum
    )
    from pg_attribute where attrelid = relation and attnum > 0 and not attisdropped
$$;

create procedure rs.copy_from_s3(target text, source text) language plpgsql as $$
declare
    answer jsonb := rs.ask(jsonb_build_object(
        'command', 'copy', 'source', source, 'columns', rs.columns_of(target::regclass)
    ));
    file text;
begin
    foreach file in array coalesce(rs.elements(answer -> 'files'), '{}') loop
        execute format('copy %s from %L (format csv, null '''')', target::regclass, file);
    end loop;
end
$$;

create procedure rs.unload_to_s3(query text, request jsonb) language plpgsql as $$
declare
    file text := '{spool}/' || gen_random_uuid() || '.csv';
    columns jsonb;
    row_count bigint;
begin
    perform set_config('rs.is_busy', '1', true);
    execute format('create temporary view rs_unloaded as %s', query);
    columns := rs.columns_of('pg_temp.rs_unloaded'::regclass);
    execute format('copy (select * from pg_temp.rs_unloaded) to %L (format csv, null '''', force_quote *)', file);
    select count(*) into row_count from pg_temp.rs_unloaded;
    perform set_config('rs.unloaded', row_count::text, false);
    drop view pg_temp.rs_unloaded;
    perform set_config('rs.is_busy', '', true);
    perform rs.ask(request || jsonb_build_object('command', 'unload', 'file', file, 'columns', columns));
end
$$;

-- https://docs.aws.amazon.com/redshift/latest/dg/PG_LAST_UNLOAD_COUNT.html
create function pg_catalog.pg_last_unload_count() returns bigint language sql stable as $$
    select coalesce(nullif(current_setting('rs.unloaded', true), ''), '0')::bigint
$$;
