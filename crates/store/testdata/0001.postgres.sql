-- A database of the first released schema, with rows; made by pg_dump --inserts from a database that held them. Frozen: never edit.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.apps (
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    manifest text NOT NULL,
    record text NOT NULL,
    publisher text NOT NULL,
    owner text NOT NULL,
    "position" bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.enclaves (
    id text NOT NULL,
    user_id text NOT NULL,
    user_name text NOT NULL,
    name text NOT NULL,
    app text NOT NULL,
    version text NOT NULL,
    version_digest text NOT NULL,
    owner text NOT NULL,
    host text NOT NULL,
    state text NOT NULL,
    desired text NOT NULL,
    reason text,
    incarnation bigint NOT NULL,
    root_pid bigint,
    pid_start_time bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE TABLE public.sessions (
    id text NOT NULL,
    user_id text NOT NULL,
    refresh_hash text NOT NULL,
    generation bigint NOT NULL,
    cnf text,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint
);
CREATE TABLE public.spent_refresh_tokens (
    refresh_hash text NOT NULL,
    session_id text NOT NULL
);
CREATE TABLE public.users (
    id text NOT NULL,
    name text NOT NULL,
    password_hash text NOT NULL,
    created_at bigint NOT NULL
);
INSERT INTO public._sqlx_migrations VALUES (1, 'start', '2025-11-20 10:00:00+00', true, '\x2a4690c8bd03df88febf0c4fca014521cc3fdb219c28fdaba684c86359aea051a42532a2131a28a17b439c002caa3306', 1000);
INSERT INTO public.apps VALUES ('hello', '1', '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '{}', 'a.b.c', '4f03a060b7eb032972dcb327f2c989b14d5e73c35b3d5928a6f875ca39c159ba', '01010101010101010101010101010101', 1, 1750000030);
INSERT INTO public.apps VALUES ('hello', '2', '3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', '{"name":"hello"}', 'a.b.d', '4f03a060b7eb032972dcb327f2c989b14d5e73c35b3d5928a6f875ca39c159ba', '01010101010101010101010101010101', 2, 1750000031);
INSERT INTO public.enclaves VALUES ('11111111111111111111111111111111', '01010101010101010101010101010101', 'alice', 'notes', 'hello', '1', '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581', 'notes-01010101010101010101010101010101.enclaves.localhost', 'running', 'running', NULL, 2, 4242, 777, 1750000057, 1750000067);
INSERT INTO public.enclaves VALUES ('12121212121212121212121212121212', '01010101010101010101010101010101', 'alice', 'wiki', 'hello', '1', '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581', 'wiki-01010101010101010101010101010101.enclaves.localhost', 'failed', 'running', 'spawn', 1, NULL, NULL, 1750000058, 1750000068);
INSERT INTO public.enclaves VALUES ('13131313131313131313131313131313', '02020202020202020202020202020202', 'bob', 'notes', 'hello', '1', '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581', 'notes-02020202020202020202020202020202.enclaves.localhost', 'stopped', 'stopped', NULL, 5, NULL, NULL, 1750000059, 1750000069);
INSERT INTO public.enclaves VALUES ('14141414141414141414141414141414', '02020202020202020202020202020202', 'bob', 'old', 'hello', '1', '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac90dc581', 'old-02020202020202020202020202020202.enclaves.localhost', 'stopping', 'deleted', NULL, 1, 4243, 778, 1750000060, 1750000070);
INSERT INTO public.sessions VALUES ('0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a', '01010101010101010101010101010101', 'a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e', 3, '03d66dd08835c1ca3f128cceacd1f31ac94163096b20f445ae84285bc0832d72', 1750000010, 4000000000, NULL);
INSERT INTO public.sessions VALUES ('0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b', '02020202020202020202020202020202', '16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4', 0, NULL, 1750000011, 4000000000, 1750000020);
INSERT INTO public.spent_refresh_tokens VALUES ('7cf467affb88616efc4baa449897088c274d6a0223444cf19437b775ebf50f67', '0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a');
INSERT INTO public.users VALUES ('01010101010101010101010101010101', 'alice', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaA', 1750000000);
INSERT INTO public.users VALUES ('02020202020202020202020202020202', 'bob', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaA', 1750000001);
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.apps
    ADD CONSTRAINT apps_pkey PRIMARY KEY (name, version);
ALTER TABLE ONLY public.apps
    ADD CONSTRAINT apps_position_key UNIQUE ("position");
ALTER TABLE ONLY public.enclaves
    ADD CONSTRAINT enclaves_host_key UNIQUE (host);
ALTER TABLE ONLY public.enclaves
    ADD CONSTRAINT enclaves_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.enclaves
    ADD CONSTRAINT enclaves_user_id_name_key UNIQUE (user_id, name);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_refresh_hash_key UNIQUE (refresh_hash);
ALTER TABLE ONLY public.spent_refresh_tokens
    ADD CONSTRAINT spent_refresh_tokens_pkey PRIMARY KEY (refresh_hash);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_name_key UNIQUE (name);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX sessions_expiry ON public.sessions USING btree (expires_at);
CREATE INDEX sessions_user ON public.sessions USING btree (user_id, created_at);
CREATE INDEX spent_refresh_tokens_session ON public.spent_refresh_tokens USING btree (session_id);
ALTER TABLE ONLY public.apps
    ADD CONSTRAINT apps_owner_fkey FOREIGN KEY (owner) REFERENCES public.users(id);
ALTER TABLE ONLY public.enclaves
    ADD CONSTRAINT enclaves_app_version_fkey FOREIGN KEY (app, version) REFERENCES public.apps(name, version);
ALTER TABLE ONLY public.enclaves
    ADD CONSTRAINT enclaves_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);
ALTER TABLE ONLY public.spent_refresh_tokens
    ADD CONSTRAINT spent_refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;
