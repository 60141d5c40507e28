/*
 * world - one simulated world: rondo itself, the servers behind it, the clients before it, and all that was said.
 *
 * Everything in it follows from the seed. It is built, lives until its requests are used up, and is taken down; then nothing of it
 * may be left. Requests and visits are numbered; the numbers go over the wire, so that each end can tell whose bytes it sees. A
 * visit is one request on one connection to a server.
 */
#ifndef RONDO_SIM_WORLD_H
#define RONDO_SIM_WORLD_H

#include "channel.h"
#include "dice.h"
#include "proxy/exchange.h"
#include "proxy/listener.h"
#include "reader.h"
#include "checker.h"

enum { SERVERS = 5, ADDRESSES = 2, RULES = 4, VISITS_OF_REQUEST = 24, TRIES = VERDICT_MAX_TRIES };

/* What may go wrong, of 10000. */
struct profile {
	bool calm;       /* nothing may: then every request is answered well, in turn */
	bool weighs;     /* and not all servers weigh the same */
	unsigned client; /* connections of clients that misbehave */
	unsigned broken; /* requests that are none */
	unsigned server; /* how often a server changes to something bad, when it changes */
	unsigned poison; /* requests that every server fails at */
	unsigned early;  /* how often a server answers when it has only a part of a request */
	unsigned breaks; /* connections of clients that send no more than a part of one */
	unsigned halts;  /* connections of clients that pause in the middle of their contents */
	unsigned halves; /* connections of clients that end their side once they have asked */
	bool half_close; /* most rules let a client wait for its answer that has ended its side */
	bool shortages, reloads, pauses, drain, operator;
	int64_t change_us; /* how long things stay as they are, at most */
	size_t requests, clients, servers;
};

enum method { GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, METHODS };

/* How a request is none; or how a client fails in the middle of it. */
enum fault {
	FAULT_NONE,
	FAULT_TWO_LENGTHS,
	FAULT_LENGTH_AND_CODING,
	FAULT_BARE_LF,
	FAULT_NO_HOST,
	FAULT_VERSION,
	FAULT_METHOD,
	FAULT_CONNECT,
	FAULT_LONG_HEAD,
	FAULT_LONG_TARGET,
	FAULT_EXPECTATION,
	FAULT_CODING,
	FAULT_CHUNK, /* the head is well, the content is not */
	FAULT_TOO_MUCH,
	FAULTS
};

enum answer_kind { ANSWER_NONE, ANSWER_BEGUN, ANSWER_WHOLE, ANSWER_CUT };

struct request {
	enum method method;
	enum fault fault;
	enum framing framing;
	unsigned minor;
	bool has_key, expects, upgrades, closes, is_poison, takes_trailers;
	bool is_sent; /* all of it is with the kernel */
	bool
	    is_tainted; /* it may have got what a server had sent beyond its answer in the very turn before */
	bool is_excused; /* its client went away, or did what ends a connection */
	uint32_t length;
	uint32_t tunnel_up;
	uint64_t fields; /* hash of what must pass */
	size_t
	    rules_first; /* the rules when its first byte was sent, and when a server was chosen: */
	size_t rules_last; /* then they are the same, for good */
	int64_t began_us, sent_us;
	uint64_t
	    shortages_before; /* net_world.shortages when the one before it was made, or its connection */
	unsigned logged;
	int64_t logged_us, logged_judged_us; /* what sim_loop_judged_us said then */
	bool is_logged_ok;
	bool has_servers_answer;       /* its client got all of one */
	size_t content_at;             /* where its content begins on the wire */
	uint64_t begins_at;            /* so many bytes came before it on its connection */
	uint64_t ends_at;              /* the same with its own */
	const struct channel *channel; /* of its client, for as long as it is being served */
	int64_t ended_us;  /* when its client ended its side, or broke off; 0 = not yet */
	int64_t picked_us; /* when a server was chosen for it first */
	int64_t whole_us;  /* when all of it was with a server's kernel first */
	unsigned
	    own_status; /* what rondo's own answer can be, after how the tries went; 0 = not known */
	bool has_fallen_through; /* a server's answer is there in case nothing better comes */
	bool was_rescued; /* it was also sent to a second server while the first was silent */
	bool has_moved;   /* it was sent to a second server, and an answer that was kept gave way */
	enum answer_kind answer;
	unsigned visit_count;
	uint32_t visits[VISITS_OF_REQUEST];
};

/* How a server's connection ends what it began. */
enum ending { ENDING_KEEP, ENDING_CLOSE, ENDING_FIN, ENDING_RESET, ENDING_SILENCE };

struct visit {
	int64_t request; /* -1: not known */
	int server;
	bool is_reused;  /* the connection carried another before */
	bool has_rested; /* so it did, or it may have rested since it was made */
	bool is_open;
	bool is_cut; /* the server does not send all of its answer */
	bool is_bad; /* the answer's head is none */
	bool is_bad_content;
	bool is_lost;    /* the server closed or reset before its answer was whole */
	bool is_forlorn; /* because the rest of the request did not come */
	bool was_frozen; /* its server was frozen while it was under way */
	bool is_stuck;   /* the server takes no bytes */
	bool is_stray; /* what comes first on a connection that was used before is of no request */
	bool is_followed; /* it says that content follows where none may */
	bool is_answered; /* an answer is planned */
	bool got_final;   /* rondo took bytes of the final answer's head */
	bool got_bytes;   /* rondo took bytes of any answer */
	bool is_tainted;  /* what comes first may belong to the visit before */
	bool switches;    /* 101 */
	bool has_trailers;
	bool is_old;   /* the answer is in HTTP/1.0 */
	bool is_whole; /* all of the request came */
	unsigned status;
	unsigned interims;
	enum framing framing;
	uint32_t length, tunnel_down;
	uint64_t fields;
	int64_t began_us;
	int64_t sent_us; /* the last byte of the request was accepted; 0 = not yet */
	int64_t closed_us,
	    judged_us;        /* rondo closed the connection; what sim_loop_judged_us said then */
	uint64_t read_before; /* bytes rondo had taken of this connection */
	size_t final_at;      /* where the final head begins in the answer */
	size_t content_at;    /* where it ends */
	size_t answer_end;
	size_t taken;       /* how much of the answer rondo has read */
	int64_t heading_us; /* when it read the first byte of the final head */
	int64_t read_us;    /* and the last of all */
	struct peer *peer;  /* the server's end of the connection; NULL when it is over */
	/* How long it waited for its client, at least: to send, and once it is over at all. */
	int64_t awaited_us;
	/* Of the client's channel: `partials` when the request was known, and channel_blocked_us when the
	 * final head came; -1 = it did not. */
	uint64_t partials_before;
	int64_t blocked_before_us;
};

enum link { LINK_UP, LINK_REFUSES, LINK_UNREACHABLE, LINK_SILENT, LINK_BUSY, LINK_RESETS };

/* What a server does wrong, of 10000 requests. */
enum vice {
	VICE_STATUS,
	VICE_ALTERNATE,
	VICE_SLOW,
	VICE_NEVER,
	VICE_RESET,
	VICE_CUT,
	VICE_GARBAGE,
	VICE_EARLY,
	VICE_INTERIMS,
	VICE_EXTRA,
	VICE_FRAMING,
	VICE_STUCK,
	VICE_UNASKED_101,
	VICE_ONCE,      /* fails at methods that are not idempotent */
	VICE_STRAY,     /* answers with what belongs to no request */
	VICE_FOLLOWED,  /* sends content where none may be */
	VICE_IMPATIENT, /* does not wait for the rest of a request */
	VICES
};

struct server_conn;

struct server {
	int index;
	char url[40], name[32];
	struct backend_options options;
	size_t addresses;
	enum link links[ADDRESSES];
	bool is_near; /* what it refuses is refused at once */
	unsigned vices[VICES];
	unsigned stale; /* of 10000 answers, after how many an idle connection is closed soon */
	bool fails_next;
	int64_t thaws_us;  /* it is frozen until then */
	int64_t looked_us; /* when a request was last sent to it though it was silent */
	bool is_configured;
	int64_t configured_us; /* when it came into the configuration, as somebody new */
	struct server_conn *connections;
	uint64_t outcomes[OUTCOMES]; /* what it did that rondo may tell of */
	size_t tainted;              /* visits that may have got what belongs to another */
	bool
	    lost_in_head; /* it dropped a connection on which a request had begun that nobody could tell */
	bool has_passed; /* it answered a health check well that rondo has not told of */
	/* The oracle's own picture. */
	enum backend_state seen;
	unsigned checks_failed, checks_good; /* in a row */
	int64_t look_us;                     /* it is down, and rondo may look at it from then on */
};

struct world {
	uint64_t seed;
	struct dice dice;
	struct profile profile;
	/* rondo */
	struct loop *loop;
	struct slab blocks, connections;
	struct backend_env env;
	struct ring ring;
	struct checker *checker;
	struct check_options check;
	struct access_log *access_log;
	struct proxy proxy;
	struct listener listener;
	struct proxy_options rules[RULES];
	size_t rules_now;
	struct net_block
	    proxies; /* where clients are behind one, which begins with a PROXY header */
	bool has_proxies;
	struct loop_task check_task;
	bool check_is_due;
	int64_t connect_most_us; /* longest that any connect may take */
	int listening_fd;
	bool is_draining, is_ending;
	/* the others */
	struct server servers[SERVERS];
	struct timer change;
	struct timer end;
	size_t clients_alive;
	size_t requests_before; /* when things changed last */
	unsigned ends;          /* how often what is left was waited for */
	unsigned quiet_changes; /* in a row, with no request between them */
	int64_t quiet_us;       /* since when */
	struct request *requests;
	size_t request_count, request_room;
	struct visit *visits;
	size_t visit_count, visit_room;
	size_t tainted; /* visits that may have got what belongs to another, whosever they are */
	/* counts for the report */
	uint64_t answered, own_answers, cut, failed_over;
};

extern struct world world;

struct totals {
	uint64_t worlds, requests, visits, answered, own_answers, cut, marks;
};
extern struct totals totals;

/* Runs the world of `seed`; answers a number that would be another if anything had gone another way. */
uint64_t world_run(uint64_t seed);

struct request *world_add_request(void);
struct visit *world_add_visit(void);

static inline int64_t world_index(const struct request *request)
{
	return request - world.requests;
}

#endif
