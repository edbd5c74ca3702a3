-- What PostgreSQL cannot store of a Redshift table, and the catalog relations that dbt-redshift reads.
-- Runs once, as superuser, in the fresh database; {user} and {spool} are filled in.
set allow_system_table_mods = on;
create schema rs;
grant usage on schema rs to public;

create table rs.rules (name text primary key, message text not null, url text not null);

-- Refuses by a rule of refusals.py; %L keeps no quotation marks of its own.
create function rs.refuse(rule text, detail text) returns integer language plpgsql security definer as $$
declare
    found rs.rules;
begin
    select * into strict found from rs.rules where name = rule;
    raise exception using
        errcode = '0A000',
        message = format('[redshift: %s] %s: %s (%s)', found.name, found.message, detail, found.url);
end
$$;

-- Takes the bind parameters of the statement whose place it takes.
create function rs.fail(message text, variadic parameters text[] default '{}') returns integer language plpgsql as $$
begin
    raise exception using errcode = '0A000', message = message;
end
$$;

create table rs.attributes (
    relation oid primary key,  -- survives a new name
    diststyle text not null default 'auto',
    distkey text,
    sort_type text,
    sortkeys text[],
    backup boolean not null default true,
    primary_key text[],
    unique_columns text[],
    foreign_keys text[],
    late_binding boolean not null default false,
    body text,  -- of a late-binding view
    columns_without_body text,
    is_broken boolean not null default false  -- a late-binding view that reads a relation that is gone
);
grant select on rs.attributes to public;

create function rs.elements(list jsonb) returns text[] language sql immutable as $$
    select array_agg(element) from jsonb_array_elements_text(list) as element
$$;

-- DDL ----------------------------------------------------------------------------------------------------------------

create function rs.check_keys(relation oid, name text, told jsonb) returns void language plpgsql as $$
declare
    key text;
    foreign_key jsonb;
    target oid;
begin
    foreach key in array coalesce(rs.elements(told -> 'sortkeys'), '{}') || coalesce(rs.elements(told -> 'pk'), '{}')
        || coalesce(rs.elements(told -> 'uniques'), '{}') || array_remove(array[told ->> 'distkey'], null)
    loop
        if not exists (
            select 1 from pg_attribute where attrelid = relation and attname = key and not attisdropped
        ) then
            perform rs.refuse('key_column', format('column "%s" of %s', key, name));
        end if;
    end loop;
    foreach key in array coalesce(rs.elements(told -> 'pk'), '{}') loop
        execute format('alter table %s alter column %I set not null', name, key);
    end loop;
    for foreign_key in select jsonb_array_elements(coalesce(told -> 'fks', '[]')) loop
        target := (foreign_key ->> 'ref')::regclass;
        if not exists (
            select 1 from rs.attributes
            where attributes.relation = target
                and (attributes.primary_key is not null or attributes.unique_columns is not null)
        ) then
            perform rs.refuse('foreign_key_target', foreign_key ->> 'ref');
        end if;
    end loop;
end
$$;

-- What a table or view holds must be of a type that Redshift has: arrays and whole rows come without their name.
create function rs.check_types(relation oid, name text) returns void language plpgsql as $$
declare
    found_type text;
begin
    select format_type(atttypid, atttypmod) into found_type
    from pg_attribute
    where attrelid = relation and attnum > 0 and not attisdropped and not atttypid = any(array[
        'boolean', 'smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision', 'bpchar', 'varchar', 'text',
        'date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval', 'name', 'oid', '"char"'
    ]::regtype[]);
    if found_type is not null then
        perform rs.refuse('unsupported_type', format('%s in %s', found_type, name));
    end if;
end
$$;

-- Gives late-binding views back their query as soon as it can run. The proxy calls it after each transaction with DDL, on
-- a connection of its own: a session of dbt would keep locks on what the views read, which Redshift's does not. Does not
-- wait for a table that a session is replacing; that session's end tries again.
create function rs.restore_late_binding_views() returns void language plpgsql set lock_timeout = '20ms' as $$
declare
    broken record;
begin
    perform set_config('rs.is_busy', '1', true);
    for broken in
        select attributes.relation, attributes.body, attributes.relation::regclass::text as name
        from rs.attributes inner join pg_class on attributes.relation = pg_class.oid
        where attributes.is_broken
    loop
        begin
            execute format('create or replace view %s as %s', broken.name, broken.body);
            update rs.attributes set is_broken = false where relation = broken.relation;
        exception when others then
            null;  -- it stays broken, and says so when it is read
        end;
    end loop;
    perform set_config('rs.is_busy', '', true);
end
$$;

create function rs.after_create() returns event_trigger language plpgsql security definer as $$
declare
    created record;
    told jsonb := coalesce(substring(current_query() from '/\*rs:(.*)\*/\s*$')::jsonb, '{}');
begin
    if current_setting('rs.is_busy', true) = '1' then
        return;
    end if;
    for created in
        select * from pg_event_trigger_ddl_commands()
        where object_type in ('table', 'view') and command_tag ~ '^(CREATE|SELECT INTO)'
    loop
        perform rs.check_keys(created.objid, created.object_identity, told);
        if created.schema_name not in ('rs', 'pg_catalog') then
            perform rs.check_types(created.objid, created.object_identity);
        end if;
        insert into rs.attributes values (
            created.objid, coalesce(told ->> 'diststyle', 'auto'), told ->> 'distkey', told ->> 'sort_type',
            rs.elements(told -> 'sortkeys'), coalesce((told ->> 'backup')::boolean, true), rs.elements(told -> 'pk'),
            rs.elements(told -> 'uniques'),
            (select array_agg(fk ->> 'ref') from jsonb_array_elements(told -> 'fks') as fk),
            coalesce((told ->> 'late_binding')::boolean, false),
            case when told ? 'body' then substr(
                current_query(), (told -> 'body' ->> 0)::integer + 1,
                (told -> 'body' ->> 1)::integer - (told -> 'body' ->> 0)::integer
            ) end,
            (
                select string_agg(format(
                    'cast(rs.fail(''a late-binding view reads a relation that does not exist'')::text as %s) as %I',
                    format_type(atttypid, atttypmod), attname
                ), ', ' order by attnum)
                from pg_attribute where attrelid = created.objid and attnum > 0
            )
        )
        on conflict (relation) do update set
            late_binding = excluded.late_binding, body = excluded.body,
            columns_without_body = excluded.columns_without_body;
    end loop;
end
$$;
create event trigger rs_after_create on ddl_command_end
when tag in (
    'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE VIEW', 'ALTER TABLE', 'ALTER VIEW', 'DROP TABLE', 'DROP VIEW'
)
execute function rs.after_create();

-- Late-binding views survive DROP ... CASCADE of what they read.
create function rs.after_drop() returns event_trigger language plpgsql security definer as $$
declare
    dropped record;
    name text;
begin
    for dropped in
        select objects.*, attributes.body, attributes.columns_without_body
        from pg_event_trigger_dropped_objects() as objects
        inner join rs.attributes on objects.objid = attributes.relation
        where objects.object_type in ('table', 'view')
    loop
        delete from rs.attributes where relation = dropped.objid;
        if dropped.body is not null and not dropped.original and to_regnamespace(dropped.schema_name) is not null then
            perform set_config('rs.is_busy', '1', true);
            name := format('%I.%I', dropped.schema_name, dropped.object_name);
            execute format('create view %s as select %s', name, dropped.columns_without_body);
            execute format('alter view %s owner to %I', name, session_user);
            insert into rs.attributes (relation, late_binding, body, columns_without_body, is_broken)
            values (name::regclass, true, dropped.body, dropped.columns_without_body, true);
            perform set_config('rs.is_busy', '', true);
        end if;
    end loop;
end
$$;
create event trigger rs_after_drop on sql_drop execute function rs.after_drop();

-- Catalog ------------------------------------------------------------------------------------------------------------

create view rs.columns as
select
    attributes.relation, namespaces.nspname, classes.relname, classes.relkind, columns.attname, columns.attnum,
    format_type(columns.atttypid, columns.atttypmod)::text as type_name, columns.attnotnull, attributes.distkey,
    attributes.sortkeys, attributes.late_binding
from rs.attributes
inner join pg_class as classes on attributes.relation = classes.oid
inner join pg_namespace as namespaces on classes.relnamespace = namespaces.oid
inner join pg_attribute as columns on classes.oid = columns.attrelid
where columns.attnum > 0 and not columns.attisdropped;

create function pg_catalog.pg_get_late_binding_view_cols() returns setof record language sql stable as $$
    select nspname, relname, attname, type_name::varchar, attnum::integer from rs.columns where late_binding
$$;
create view pg_catalog.svv_external_columns as
select
    null::text as schemaname, null::text as tablename, null::text as columnname, null::text as external_type,
    null::integer as columnnum, null::integer as part_key
where false;
create view pg_catalog.svv_table_info as
select
    current_database()::text as "database", namespaces.nspname::text as "schema", classes.oid as table_id,
    classes.relname::text as "table", 'N'::text as encoded,
    case
        when attributes.distkey is not null then 'KEY(' || attributes.distkey || ')' else upper(attributes.diststyle)
    end as diststyle,
    case
        when attributes.sort_type = 'interleaved' then 'INTERLEAVED' else attributes.sortkeys[1]
    end as sortkey1,
    (
        select max(columns.atttypmod - 4) from pg_attribute as columns
        where columns.attrelid = classes.oid and columns.atttypid = 'varchar'::regtype
    ) as max_varchar,
    'none'::text as sortkey1_enc, coalesce(cardinality(attributes.sortkeys), 0) as sortkey_num,
    (pg_relation_size(classes.oid) / 1048576)::bigint as size, 0::numeric as pct_used, 0::numeric as unsorted,
    0::numeric as stats_off, greatest(classes.reltuples, 0)::numeric as tbl_rows,
    null::numeric as skew_sortkey1, null::numeric as skew_rows
from rs.attributes
inner join pg_class as classes on attributes.relation = classes.oid
inner join pg_namespace as namespaces on classes.relnamespace = namespaces.oid
where classes.relkind = 'r';
create view pg_catalog.pg_table_def as
select
    nspname as schemaname, relname as tablename, attname as "column", type_name as "type", 'none'::text as encoding,
    attname = distkey as distkey, coalesce(array_position(sortkeys, attname::text), 0) as sortkey,
    attnotnull as "notnull"
from rs.columns where relkind = 'r';
create view pg_catalog.svv_redshift_columns as
select
    table_catalog::text as database_name, table_schema::text as schema_name, table_name::text as table_name,
    column_name::text as column_name, ordinal_position::integer as ordinal_position, data_type::text as data_type,
    character_maximum_length::integer as character_maximum_length, numeric_precision::integer as numeric_precision,
    numeric_scale::integer as numeric_scale,
    col_description(to_regclass(format('%I.%I', table_schema, table_name)), ordinal_position)::text as remarks
from information_schema.columns;
create view pg_catalog.svv_mv_info as
select null::text as database_name, null::text as schema_name, null::text as "name", false as autorefresh where false;
create view pg_catalog.sys_query_detail as
select null::oid as table_id, null::timestamp as start_time, null::text as step_name where false;
create view pg_catalog.svv_relation_privileges as
select
    table_schema::text as namespace_name, table_name::text as relation_name, lower(privilege_type)::text as privilege_type,
    case when grantee = 'PUBLIC' then 'public' else grantee end::text as identity_name,
    case when grantee = 'PUBLIC' then 'public' else 'user' end::text as identity_type
from information_schema.table_privileges;
create view rs.show_schemas as
select
    catalog_name::text as database_name, schema_name::text as schema_name, schema_owner::text as schema_owner,
    'local'::text as schema_type
from information_schema.schemata;
create view rs.show_tables as
select
    current_database()::text as database_name, namespaces.nspname::text as schema_name, classes.relname::text as table_name,
    case classes.relkind when 'r' then 'TABLE' else 'VIEW' end::text as table_type, null::text as table_acl,
    obj_description(classes.oid, 'pg_class')::text as remarks, pg_get_userbyid(classes.relowner)::text as "owner",
    null::timestamp as last_altered_time, null::timestamp as last_modified_time, null::text as dist_style,
    case
        when classes.relkind = 'r' then 'REGULAR TABLE'
        when attributes.late_binding then 'LATE BINDING VIEW'
        else 'REGULAR VIEW'
    end::text as table_subtype
from pg_class as classes
inner join pg_namespace as namespaces on classes.relnamespace = namespaces.oid
left join rs.attributes on classes.oid = attributes.relation
where classes.relkind in ('r', 'v');
-- Late-binding views depend on nothing.
create view rs.pg_depend as
select dependencies.* from pg_catalog.pg_depend as dependencies
where not exists (
    select 1 from pg_rewrite as rewrites
    inner join rs.attributes on rewrites.ev_class = attributes.relation
    where rewrites.oid = dependencies.objid and attributes.late_binding
);
grant select on all tables in schema pg_catalog to public;
grant select on all tables in schema rs to public;
