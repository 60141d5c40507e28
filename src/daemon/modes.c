#include "daemon/modes.h"

#include "config/help.h"
#include "config/settings.h"
#include "config/show.h"
#include "http/parse.h"
#include "name_check.h"
#include "probe_table.h"

static const char help[] =
    "Usage: rondo [-c FILE] [--set KEY=VALUE]...        serve\n"
    "       rondo --listen ADDR --backend URL...        serve without a file\n"
    "       rondo -t | -T | -P | -E KEY | -V | -h       show something and exit\n"
    "\n"
    "Forwards HTTP/1.1 requests to backends in turn; a failed request is tried at another one.\n"
    "\n"
    "  -c, --config FILE    configuration file (" RONDO_CONFIG_FILE ")\n"
    "      --listen ADDR    listen on \":8080\", \"127.0.0.1:8080\", \"unix:/path\"; may be "
    "repeated\n"
    "      --backend URL    use \"http://HOST:PORT\"; may be repeated\n"
    "      --set KEY=VALUE  change a setting, as in --set retry.tries=2; may be repeated\n"
    "  -q, --quiet          log only errors and warnings\n"
    "\n"
    "  -t, --test           check the configuration\n"
    "  -T, --dump           show the value of every setting and where it comes from\n"
    "  -P, --probe          check the configuration and connect to each backend once\n"
    "  -E, --explain KEY    explain a setting; those of a group, or \"all\", are listed\n"
    "  -V, --version        show versions and build flags\n"
    "  -h, --help           show this\n"
    "\n"
    "Signals: TERM and INT drain and stop, HUP reloads, USR1 reopens logs, USR2 upgrades.\n"
    "Exit status: 0 good, 1 cannot run, 2 bad usage, 78 bad configuration. See rondo(8).\n";

static void tell_version(void)
{
	printf("rondo " RONDO_VERSION "\n");
	printf("llhttp %s, " RONDO_LIBRARIES "\n", parse_llhttp_version());
	printf("built with " RONDO_BUILD "\n");
}

static int explain(const char *key)
{
	const char *meant;

	if (help_explain(key, stdout))
		return EXIT_CLEAN;
	meant = settings_suggest(settings_all(), key);
	fprintf(stderr, "rondo: unknown setting `%s`", key);
	if (meant)
		fprintf(stderr, "; did you mean `%s`?\n", meant);
	else
		fprintf(stderr, "; rondo -E all lists them\n");
	return EXIT_BAD_USAGE;
}

static void tell_good(const struct options *options, const struct config *config)
{
	if (options->quiet)
		return;
	printf("%s: good, %zu backend%s\n",
	    options->source.file ? options->source.file : "command line", config->backend_count,
	    config->backend_count == 1 ? "" : "s");
}

static int answer_configured(const struct options *options)
{
	struct config_errors errors = {0};
	struct config *config = config_load(&options->source, &errors);
	int status = EXIT_CLEAN;

	config_errors_write(&errors, stderr);
	config_errors_finish(&errors);
	if (!config)
		return EXIT_BAD_CONFIG;
	if (config->warning)
		fprintf(stderr, "%s\n", config->warning);
	if (options->mode == OPTIONS_DUMP)
		config_show(config, stdout);
	else
		tell_good(options, config);
	if (options->mode == OPTIONS_TEST)
		name_check_write(config, stderr);
	if (options->mode == OPTIONS_PROBE && !probe_table_write(config, stdout))
		status = EXIT_CANNOT_RUN;
	config_drop(config);
	return status;
}

int modes_run(const struct options *options)
{
	switch (options->mode) {
	case OPTIONS_HELP:
		fputs(help, stdout);
		break;
	case OPTIONS_VERSION:
		tell_version();
		break;
	case OPTIONS_EXPLAIN:
		return explain(options->explain);
	case OPTIONS_TEST:
	case OPTIONS_DUMP:
	case OPTIONS_PROBE:
	case OPTIONS_RUN:
		return answer_configured(options);
	}
	return EXIT_CLEAN;
}
