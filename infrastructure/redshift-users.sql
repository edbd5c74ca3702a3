-- Users, roles and rights on Redshift. The administrator runs it, by deploy.py, which puts names in place of $batch
-- (the user that dbt runs as) and $database. A statement whose object already exists is skipped, so that the file
-- can be run again. A statement ends with a semicolon at the end of a line.

-- dbt logs in as the role of the batch task, without a password.
create user "$batch" password disable;
grant create, temporary on database $database to "$batch";

-- People and BI tools. With --vars '{reader: role:analysts}' every build grants the role what it needs to read.
create role analysts;
create role developers;
grant create, temporary on database $database to role developers;
