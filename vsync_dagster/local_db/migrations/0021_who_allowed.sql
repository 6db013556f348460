-- Which person let a sync go on: a login is often shared by many.

alter table mass_changes add column person text check (person ~ '\S');
