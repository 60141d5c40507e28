/* Addresses to listen on, and the groups with what belongs to one of them. */
#include "config/settings.h"
#include "loading.h"
#include "values.h"

#define BACKENDS "backends = \"localhost:1\";\n"
#define NO_ADDRESS                                                                                 \
	" is not an address; write \"*:8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or "             \
	"\"unix:/path\""

static const char *shown(const struct config *config)
{
	return config->values[settings_row("listen")].text;
}

static void good_values_are_shown_so_that_they_can_be_read_again(void **state)
{
	static const struct {
		const char *written, *shown;
	} rows[] = {
	    {"\"*:8080\"", "\"*:8080\""},
	    {"\":8080\"", "\":8080\""},
	    {"\"127.0.0.1:0\"", "\"127.0.0.1:0\""},
	    {"\"[::1]:8080\"", "\"[::1]:8080\""},
	    {"\"unix:/run/r.sock\"", "\"unix:/run/r.sock\""},
	    {"(\"127.0.0.1:1\", \"[::1]:1\")", "( \"127.0.0.1:1\", \"[::1]:1\" )"},
	    {"[\"127.0.0.1:0\", \"127.0.0.1:0\"]", "( \"127.0.0.1:0\", \"127.0.0.1:0\" )"},
	    {"{ address = \":80\"; }", "\":80\""},
	    {"{ address = \":80\"; scheme = \"http\"; proxy_from = [ ]; mode = \"\"; owner = \"\"; "
	     "}",
		"\":80\""},
	    {"{ scheme = \"https\"; address = \":80\"; }",
		"{ address = \":80\"; scheme = \"https\"; }"},
	    {"( { address = \":80\"; proxy_from = [ \"10.0.0.0/8\", \"::1\" ]; }, \":81\" )",
		"( { address = \":80\"; proxy_from = [ \"10.0.0.0/8\", \"::1/128\" ]; }, \":81\" "
		")"},
	    {"{ address = \"unix:/r\"; proxy_from = \"unix:\"; mode = \"660\"; owner = \"root\"; "
	     "group = \"0\"; }",
		"{ address = \"unix:/r\"; proxy_from = [ \"unix:\" ]; mode = \"0660\"; "
		"owner = \"root\"; group = \"0\"; }"},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (int again = 0; again < 2; again++) {
			snprintf(text, sizeof(text), BACKENDS "listen = %s;\n",
			    again ? rows[i].shown : rows[i].written);
			struct config *config = load_text(text);
			assert_string_equal(shown(config), rows[i].shown);
			config_drop(config);
		}
	}
}

static void what_a_group_says_is_kept(void **state)
{
	struct config *config = load_text(BACKENDS
	    "listen = ( \"*:1\", \"[::]:2\", \"0.0.0.0:3\", { address = \"unix:/r\"; "
	    "proxy_from = [ \"unix:\" ]; scheme = \"https\"; mode = \"0620\"; owner = \"7\"; "
	    "group = \"root\"; } );\n");
	const struct config_listen *all = config->listen;
	const struct listener_options *options = &all[3].options;

	(void)state;
	assert_int_equal(config->listen_count, 4);
	assert_true(all[0].dual_stack);
	assert_int_equal(all[0].addr.any.sa_family, AF_INET6);
	assert_int_equal(net_addr_port(&all[0].addr), 1);
	assert_int_equal(all[0].options.proxy_from_count, 0);
	assert_false(all[0].options.is_https);
	assert_int_equal(all[0].access.mode, 0);
	assert_false(all[1].dual_stack);
	assert_int_equal(all[1].addr.any.sa_family, AF_INET6);
	assert_int_equal(all[2].addr.any.sa_family, AF_INET);
	assert_string_equal(all[3].addr.path.sun_path, "/r");
	assert_int_equal(options->proxy_from_count, 1);
	assert_true(options->proxy_from[0].is_unix);
	assert_true(options->is_https);
	assert_int_equal(all[3].access.mode, 0620);
	assert_int_equal(all[3].access.owner, 7);
	assert_int_equal(all[3].access.group, 0);
	config_drop(config);
}

static void faults_have_the_line_of_the_member(void **state)
{
	static const struct {
		const char *written;
		int line;
		const char *message;
	} rows[] = {
	    {"( )", 2, "listen: at least one address is needed"},
	    {"8080", 2, "listen: expected addresses in quotes, \"*:8080\""},
	    {"( \":80\",\n8080 )", 3, "listen: expected addresses in quotes, \"*:8080\""},
	    {"\"8080\"", 2, "listen: \"8080\"" NO_ADDRESS},
	    {"\"localhost:8080\"", 2, "listen: \"localhost:8080\"" NO_ADDRESS},
	    {"\":65536\"", 2, "listen: \":65536\"" NO_ADDRESS},
	    {"\"::1:80\"", 2, "listen: \"::1:80\"" NO_ADDRESS},
	    {"\"unix:relative\"", 2, "listen: \"unix:relative\"" NO_ADDRESS},
	    {"( \"*:80\",\n\":80\" )", 3, "listen: \":80\" is listed twice"},
	    {"( \"unix:/a\", { scheme = \"https\";\naddress = \"unix:/a\"; } )", 2,
		"listen: \"unix:/a\" is listed twice"},
	    {"{ }", 2, "listen: a group without address"},
	    {"{ scheme = \"https\"; }", 2, "listen: a group without address"},
	    {"{ address = 80; }", 2, "listen: address: expected a string, not a number"},
	    {"{ scheme = \"https\";\naddress = \"80\"; }", 3, "listen: \"80\"" NO_ADDRESS},
	    {"{ address = \":80\";\nscheme = \"ftp\"; }", 3,
		"listen: scheme: \"ftp\" is not known; write \"http\" or \"https\""},
	    {"{ address = \":80\";\nproxy_form = [ ]; }", 3,
		"unknown setting `proxy_form` in a group of `listen`"},
	    {"{ address = \":80\";\nproxy_from = [ \"10.0.0.0/33\" ]; }", 3,
		"listen: proxy_from: \"10.0.0.0/33\" is not an address block; write "
		"\"10.0.0.0/8\", \"::1\" or \"unix:\""},
	    {"{ address = \":80\";\nproxy_from = [ \"unix:\" ]; }", 3,
		"listen: proxy_from: nobody could connect from there"},
	    {"{ address = \"unix:/r\";\nproxy_from = [ \"::/0\" ]; }", 3,
		"listen: proxy_from: nobody could connect from there"},
	    {"{ address = \":80\";\ntls = { certificate = \"a\"; }; }", 3,
		"listen: tls: this rondo has no TLS"},
	    {"{ address = \":80\"; mode = \"0660\"; }", 2,
		"listen: mode, owner and group are those of a Unix socket"},
	    {"{ address = \":80\"; owner = \"root\"; }", 2,
		"listen: mode, owner and group are those of a Unix socket"},
	    {"{ address = \"unix:/r\";\nmode = 660; }", 3,
		"listen: mode: a mode is written in quotes: \"0660\""},
	    {"{ address = \"unix:/r\";\nmode = \"0668\"; }", 3,
		"listen: mode: \"0668\" is not a mode; write \"0660\""},
	    {"{ address = \"unix:/r\";\nmode = \"1660\"; }", 3,
		"listen: mode: \"1660\" is not a mode; write \"0660\""},
	    {"{ address = \"unix:/r\";\nmode = \"rw\"; }", 3,
		"listen: mode: \"rw\" is not a mode; write \"0660\""},
	    {"{ address = \"unix:/r\";\nmode = \"000\"; }", 3,
		"listen: mode: with the mode \"000\" nobody could connect"},
	    {"{ address = \"unix:/r\";\nmode = true; }", 3,
		"listen: mode: expected a mode in quotes, \"0660\", not a boolean"},
	    {"{ address = \"unix:/r\";\nowner = \"no body\"; }", 3,
		"listen: owner: there is no user \"no body\""},
	    {"{ address = \"unix:/r\";\ngroup = \"no body\"; }", 3,
		"listen: group: there is no group \"no body\""},
	};
	char text[512], wanted[256];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config *config;

		snprintf(text, sizeof(text), BACKENDS "listen = %s;\n", rows[i].written);
		write_file("rondo.conf", text, strlen(text));
		char *printed =
		    load_and_print(&(struct config_source){.file = "rondo.conf"}, &config);
		unlink("rondo.conf");
		assert_null(config);
		snprintf(
		    wanted, sizeof(wanted), "rondo.conf:%d: %s\n", rows[i].line, rows[i].message);
		printed[strlen(wanted)] = '\0';
		assert_string_equal(printed, wanted);
		free(printed);
	}
}

/* The reader fills in what the table says about members that are left out. */
static void members_that_are_left_out_have_their_defaults(void **state)
{
	struct config *config = load_text(BACKENDS "listen = \":80\";\n");
	struct settings rows = settings_of_listen();
	struct arena arena = {0};

	(void)state;
	for (size_t i = 1; i < rows.count; i++) {
		struct config_listen read = {0};
		struct config_node node = {0};

		assert_true(
		    value_node(&rows.items[i], str_from(rows.items[i].fallback), &node, &arena));
		assert_null(value_read(&rows.items[i], &node, &read, &arena));
		assert_string_equal(value_format(&rows.items[i], &read, &arena),
		    value_format(&rows.items[i], config->listen, &arena));
	}
	arena_finish(&arena);
	config_drop(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_values_are_shown_so_that_they_can_be_read_again),
	    cmocka_unit_test(what_a_group_says_is_kept),
	    cmocka_unit_test(faults_have_the_line_of_the_member),
	    cmocka_unit_test(members_that_are_left_out_have_their_defaults),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
