"""What each key of the config is for, in words: the part of `config.md` that no code knows.

A key is `table.key`. A pair is (words, default), where the schema alone cannot say the default.
"""

from __future__ import annotations

from amxwatch.core.change import ChangeKind

Words = dict[str, str | tuple[str, str]]

TABLES: dict[str, str] = {
    "db_profiles.NAME": "A named connection to a database. Any printable name.",
    "llm_profiles.NAME": (
        "A named connection to a language model. The profile `builtin` is always there: "
        "rules, no model, no key, no network."
    ),
    "doc_profiles.NAME": "A folder of documents about the data.",
    "code_profiles.NAME": "A folder of code that reads or writes the data.",
    "defaults": "What is used where no flag and no schedule says otherwise.",
    "budget": "What may be spent on models. Without this table there is no limit.",
    "daemon": "How the daemon looks and works.",
    "studio": "Where a web page would listen.",
    "retention": (
        "How long what was done is remembered, in days; 0 is for ever. The daemon forgets what is"
        " older while it is idle. See [reliability](../reliability.md#backup-and-retention)."
    ),
    "alerts": "When something is worth telling. See [alerts](../alerts.md).",
    "alerts.targets.NAME": (
        "Who is told, and of what. Its `type` says how: see the three tables below."
    ),
    "intake": (
        "How signals from outside become work, and where they come from. See"
        " [intake](../intake.md)."
    ),
    "intake.git": (
        "A git ref of a repository on this machine: where it moves and files under `paths` with"
        " it, that is a signal. It is read with the `git` command, and never fetched into."
    ),
    "schedules.NAME": (
        "What to run, on which scope, by which trigger. Also one to a file in `schedules.d/`."
    ),
    "schedules.NAME.budget": "A limit of this schedule's own. The lower of two limits holds.",
    "schedules.NAME.continuous": "Runs that follow one another until the goals of a file are met; see [continuous sessions](../continuous.md). The trigger is `at`, `every` or `cron`, and starts a session.",
    "schedules.NAME.continuous.idle_expansion": "Where a session looks for further goals when it has nothing left to do.",
}

TARGETS: dict[str, str] = {
    "webhook": "A web address, signed as [Standard Webhooks](https://www.standardwebhooks.com).",
    "command": "A program that is run for each message, in the config folder.",
    "email": "A mailbox, by your own mail server.",
}

TRIGGERS: dict[str, str] = {
    "at": "Once, at a local time. Once it has fired it is spent; a new time arms it again.",
    "every": "On a fixed grid, counted from the moment the schedule was first seen.",
    "cron": "By a cron line of five fields, or a macro such as `@daily`.",
    "change": "When the catalog moved. See [reliability](../reliability.md) for how.",
    "files": "When the content of watched files moved.",
}

WORDS: Words = {
    "retention.replies_days": (
        "What models answered. A request that is made again after that is paid again."
    ),
    "retention.events_days": "The audit trail.",
    "retention.history_days": (
        "Ended runs and their costs. Runs whose drafts still count, and each schedule's last,"
        " are kept at any age."
    ),
    "retention.max_mb": (
        "How large the state database may grow before the oldest of all this goes earlier;"
        " nothing younger than a week does. 0 is no limit."
    ),
    "intake.triage": (
        "Who lets an item through: `auto` by rules (its profile and scope exist, and there is"
        " room), `human` with `intake approve`."
    ),
    "intake.max_open": (
        'With `triage = "auto"`: how many items may be let through and not ended at a time; the'
        " others wait for one to end."
    ),
    "intake.db_profile": (
        "Of signals that name none.",
        "the default db profile",
    ),
    "intake.scope": "Of signals that name none.",
    "intake.llm_profile": ("Drafts for the runs of intake.", "the default llm profile"),
    "intake.review_strategy": (
        "`manual` queues the drafts for review; `auto` applies the sure ones at once."
    ),
    "intake.timeout_seconds": "How long a run of intake may take.",
    "intake.folders": "Folders that files are dropped in. They must exist.",
    "intake.settle_seconds": "How long a dropped file must have stood still before it is read.",
    "intake.git": "See below.",
    "intake.git.repository": "The folder of the repository; a bare one will do.",
    "intake.git.ref": "What is watched.",
    "intake.git.paths": "Only moves of files under these globs count. `**` is everything.",
    "intake.git.db_profile": ("Which database the items are about.", "`intake.db_profile`"),
    "intake.git.scope": ("What in it.", "`intake.scope`"),
    "intake.git.priority": "How soon.",
    "db_profiles.url": (
        "Where it is: a URL, or a reference to one (`env:NAME`, `file:PATH`,"
        " `keyring:SERVICE/USER`). See [sources](../sources.md)."
    ),
    "db_profiles.profiling_mode": (
        "How rows are looked at before drafting: not at all, a sample, or a sample and exact"
        " counts over the whole table."
    ),
    "db_profiles.read_url": (
        "A read replica of the same database. Rows are looked at there; the catalog is read, and"
        " comments are written, at `url`."
    ),
    "db_profiles.profiling_sample_size": "Rows a table that are sampled.",
    "db_profiles.profile_max_age_hours": (
        "How long the statistics of a table may serve further runs before its rows are looked at"
        " again; 0 looks each time. A table whose structure moved is always looked at again."
    ),
    "db_profiles.samples_deny": (
        "Columns of which no value may be seen, in any mode: `column`, `table.column` or"
        " `schema.table.column`, globs allowed."
    ),
    "db_profiles.samples": (
        "What a model may see of the rows. See [privacy](../privacy.md) before you widen it."
    ),
    "db_profiles.local_only": (
        "Whether nothing of this database may leave the machine: any model elsewhere is refused."
    ),
    "db_profiles.description_owner": (
        "Whose comments stand: `people` never overwrites what a person wrote without an explicit"
        " choice; `amxwatch` treats every comment as its own; with `file`, what a properties file"
        " of dbt describes is neither drafted nor written, and the rest is as with `people`."
    ),
    "db_profiles.description_file": (
        'With `description_owner = "file"`: the `schema.yml`, or the folder of such files, that'
        " decides. Without it the folders of the profile's `code` are searched."
    ),
    "db_profiles.inherit_descriptions": (
        "Whether a view's column that hands another one through takes its description along,"
        " without asking a model."
    ),
    "db_profiles.ignore": "Never snapshotted, never drafted: `schema.table`, globs allowed.",
    "db_profiles.refresh_minutes": (
        "How long a catalog may go unread when nothing announces a change."
    ),
    "db_profiles.max_concurrent_runs": "Runs at a time on this database.",
    "db_profiles.docs": (
        "Names of `doc_profiles` whose passages go along with a draft. See"
        " [context](../context.md)."
    ),
    "db_profiles.code": (
        "Names of `code_profiles` that are searched for uses of a column. See"
        " [context](../context.md)."
    ),
    "llm_profiles.provider": (
        "`builtin`, `openai`, or any other name together with `base_url`: an OpenAI-compatible"
        " endpoint."
    ),
    "llm_profiles.model": (
        "The model's name as its provider spells it.",
        "required; `rules` for `builtin`",
    ),
    "llm_profiles.base_url": ("The endpoint, as a rule ending in `/v1`.", "the provider's own"),
    "llm_profiles.api_key": "A reference, never the key itself; `doctor` warns of a plain one.",
    "llm_profiles.column_batch_size": "Columns in one request.",
    "llm_profiles.n_alternatives": "Wordings asked for each object.",
    "llm_profiles.alternatives_mode": (
        "`paraphrases` have one meaning in different words; `meanings` are candidate meanings in"
        " the same words, but for those that tell them apart."
    ),
    "llm_profiles.confidence_signal": (
        "What a draft's confidence is drawn from. See [confidence](../confidence.md)."
    ),
    "llm_profiles.confidence_samples": (
        "Samples of each meaning that `self_consistency` draws, in one further request for each"
        " request; 0 draws none, and the evidence stands in for them."
    ),
    "llm_profiles.logprob_high": "Confidence from here on is the band `high`.",
    "llm_profiles.logprob_medium": "From here on `medium`; below it `low`. At most `logprob_high`.",
    "llm_profiles.max_concurrency": "Requests at a time.",
    "llm_profiles.temperature": "As the provider means it.",
    "llm_profiles.prompt_detail": (
        "How much evidence goes into a prompt: `low` leaves out the statistics of rows and the"
        " view's SQL, `medium` gives a part of them."
    ),
    "llm_profiles.verbosity": "How long a description is.",
    "llm_profiles.batch": (
        "Whether runs of schedules send batches, at half the price, and wait for them. See"
        " [providers](../providers.md#half-the-price-later-batches)."
    ),
    "llm_profiles.timeout_seconds": "How long one answer may take.",
    "llm_profiles.input_usd_per_mtok": (
        "USD for a million tokens of input, where the price table is not to count.",
        "the price table's",
    ),
    "llm_profiles.output_usd_per_mtok": (
        "The same of output. One is not without the other.",
        "the price table's",
    ),
    "llm_profiles.cached_input_usd_per_mtok": (
        "The same of input that was read from the provider's cache.",
        "`input_usd_per_mtok`",
    ),
    "doc_profiles.path": "The folder. Links inside it are not followed.",
    "code_profiles.path": "The folder. Links inside it are not followed.",
    "defaults.db_profile": (
        "Set by `amxwatch db use NAME`.",
        "the only one, where there is only one",
    ),
    "defaults.llm_profile": ("Set by `amxwatch llm use NAME`.", "`builtin`"),
    "budget.per_run_usd": ("One run may spend so much.", "no limit"),
    "budget.per_day_usd": ("All runs of a day may spend so much.", "no limit"),
    "budget.on_limit": (
        "`pause_and_escalate` blocks the run until a person unblocks it; `warn` writes the event"
        " `budget_warning` and goes on."
    ),
    "budget.timezone": "Where the day begins.",
    "daemon.poll_seconds": (
        "How often every source's cheap gate is looked at. File events and `NOTIFY` do not wait"
        " for it."
    ),
    "daemon.worker_slots": "Runs at a time, over all databases, the command line's included.",
    "studio.host": "The address.",
    "studio.port": "The port.",
    "alerts.consecutive_failures": "Failures of one schedule in a row.",
    "alerts.window_days": "Days over which runs are counted for success rates.",
    "alerts.source_down_minutes": "How long a database may be down before it is told.",
    "alerts.targets": ("See below.", "none"),
    "alerts.targets.on": "Conditions to be told of.",
    "alerts.targets.kinds": "Kinds of change to be told of, in scope of the schedules followed.",
    "alerts.targets.severity": "What is milder is not told.",
    "alerts.targets.schedules": "Globs of the schedules to follow.",
    "alerts.targets.ignore": (
        "Globs of what is never told: schedules, db profiles, and objects as `schema.table.column`."
    ),
    "alerts.targets.timeout_seconds": "How long one try may take.",
    "alerts.targets.webhook.url": (
        "`https`, or `http` on this machine. A URL, or better a reference to one."
    ),
    "alerts.targets.webhook.secret": (
        "A reference to a secret: `whsec_` and 24 to 64 bytes in base64."
    ),
    "alerts.targets.command.command": "The program and its arguments. No shell is involved.",
    "alerts.targets.email.host": "The mail server.",
    "alerts.targets.email.port": ("Its port.", "587; 465 with `tls`, 25 with `none`"),
    "alerts.targets.email.security": "How the connection is kept safe; certificates are checked.",
    "alerts.targets.email.user": "Together with `password`.",
    "alerts.targets.email.password": "A reference to the password.",
    "alerts.targets.email.sender": "The address that mails come from.",
    "alerts.targets.email.to": "Who gets them.",
    "schedules.kind": "`analyze` drafts; `cache_refresh` only takes a snapshot.",
    "schedules.enabled": "`false` shows the schedule as paused.",
    "schedules.db_profile": "The database.",
    "schedules.llm_profile": ("The drafter.", "the one of `[defaults]`"),
    "schedules.database": "Where the profile spans several databases.",
    "schedules.scope": (
        "`all`, `schema:a,b`, `table:s.t1,s.t2`, `column:s.t.c1`, or a list of such forms. Names"
        " may be globs; quote a name that holds a dot."
    ),
    "schedules.review_strategy": (
        "`manual` queues every draft; `auto` applies at once what is neither `low` nor flagged."
    ),
    "schedules.trigger": "When it runs: one of the five tables below.",
    "schedules.priority": (
        "Which queued run goes first: `p0` before `p1` and so on. A running one is never stopped."
    ),
    "schedules.max_concurrent": "Open runs of this schedule at a time.",
    "schedules.skip_if_running": "A firing is passed over while an earlier run still goes on.",
    "schedules.timeout_seconds": "A run that takes longer fails; what it drafted is kept.",
    "schedules.max_retries": (
        "How often a run that failed in a way that passes by itself (a database or a model that"
        " does not answer) is tried again, in growing pauses. Runs by hand and of changes are not:"
        " a change stays pending."
    ),
    "schedules.pause_after_failures": (
        "So many failed runs in a row pause the schedule until a person resumes it.",
        "never",
    ),
    "schedules.catch_up_window_hours": (
        (
            "How old a firing may be and still be caught up; older ones count as missed, told of in"
            " one event."
        ),
        "any age for `once`; 168 (a week) for `all`",
    ),
    "schedules.catch_up": (
        "A firing due while nothing ran: the last is run, or all, or none (it shows as missed).",
        "`once`; for `at` triggers `none`",
    ),
    "schedules.grace_seconds": "So late still counts as on time.",
    "schedules.session_mode": "Whether later runs see what reviewers said before.",
    "schedules.input_template": (
        "Your own instruction to the model. It may name `{{date}}`, `{{day_of_week}}`,"
        " `{{timestamp}}` and `{{run_number}}`."
    ),
    "schedules.trigger_reason": ("Stands in the history.", "`schedule:NAME`"),
    "schedules.max_requests": ("Model requests of one run; reaching it blocks the run.", "no cap"),
    "schedules.budget": "See below.",
    "schedules.continuous": "See below.",
    "schedules.budget.per_run_usd": ("One run of this schedule may spend so much.", "no limit"),
    "schedules.continuous.enabled": "Whether a due time starts a session instead of one run.",
    "schedules.continuous.vision_path": "The goals file, in Markdown. Required when `enabled = true`.",
    "schedules.continuous.max_runs": "A session ends after so many runs.",
    "schedules.continuous.max_idle_cycles": "Polls in a row without anything to do, before `on_idle` holds.",
    "schedules.continuous.on_idle": "End the session, keep it open for what comes, or leave it open for a person.",
    "schedules.continuous.triage_approval": "`human`: goals become intake items that a person approves before they are worked on.",
    "schedules.continuous.per_session_max_usd": (
        "A session asks no more once its runs have spent so much.",
        "no limit",
    ),
    "schedules.continuous.idle_expansion": "See below.",
    "schedules.continuous.idle_expansion.sources": "Other goals files, in the order in which they are looked at.",
    "schedules.continuous.idle_expansion.max_expansions": "So many looks into them in a session, at most.",
    "schedules.continuous.idle_expansion.max_retries": "How often a file without goals is looked at again, at later polls.",
    "trigger.timezone": "The zone that the times are meant in.",
    "trigger.only_if_changed": ("Skip a firing when nothing in scope changed since the last run."),
    "trigger.jitter_seconds": "Start up to so much later, so that not all start together.",
    "trigger.starts_at": "Not due before.",
    "trigger.ends_at": "Not due after.",
    "trigger.at": "The time.",
    "trigger.minutes": "The distance between two firings; a fraction down to one second.",
    "trigger.cron": "Minute, hour, day of month, month, day of week, as Debian's cron reads them.",
    "trigger.cadence_cap_hours": (
        "One run in so many hours at most, counted from the start of the last one. Changes inside"
        " the cap wait and are served by one run at its end. 0 is no cap."
    ),
    "trigger.settle_seconds": (
        "A change is served once nothing has moved for so long; at most ten times that in all."
    ),
    "trigger.kinds": (
        f"Which changes count: {', '.join(f'`{kind}`' for kind in ChangeKind)}.",
        "all but `removed` and `comment_changed`",
    ),
    "trigger.include_downstream": (
        "`true`: also draft the views, and the columns of views, that are computed from what"
        " changed. See [lineage](../lineage.md)."
    ),
    "trigger.initial_run": (
        "`true`: the first run covers the whole scope. `false`: what is there at first sight is"
        " not news."
    ),
    "trigger.paths": 'Such as `["models/**/*.sql"]`; relative ones start at the config folder.',
}
