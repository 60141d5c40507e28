#!/usr/bin/env python3
"""usage: test_authentication.py RONDO

Conversations with a backend that binds an identity to its connection, as servers with NTLM and Negotiate do: who has
authenticated on a connection is the user of all that comes on it later. Nobody else may come on it.
"""

import contextlib
import os
import subprocess
import tempfile
import threading

import raw
from raw import PATIENCE, value

NEGOTIATION, PROOF = b"hello", b"proof of "  # the two steps of an authentication
POST = b"POST"
ALL_METHODS = ["retry.methods=all"]


class Server(raw.Backend):
    """One request that begins an authentication is answered with a challenge; the next one on the same connection
    proves who the client is, and then the answers name the user, until the connection ends."""

    def __init__(self, scheme=b"NTLM", on_request=None, **options):
        self.scheme = scheme
        self.on_request = on_request or (lambda peer, target, user: False)
        self.said = []  # to whom, and on which connection
        super().__init__(self.serve, **options)

    def serve(self, peer, number):
        user, is_challenged = None, False
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = peer.read_head()
                peer.read(int(value(head, b"content-length") or 0))
                target = head.split()[1]
                scheme, _, token = (value(head, b"authorization") or b"").partition(b" ")
                if self.on_request(peer, target, user):
                    return
                if scheme.lower() == self.scheme.lower():
                    if token == NEGOTIATION:
                        is_challenged = True
                        self.challenge(peer, b" challenge")
                        continue
                    if token.startswith(PROOF) and is_challenged:
                        user = token[len(PROOF):]
                if user is None and target != b"/public":
                    self.challenge(peer, b"")
                    continue
                self.said.append((user, number))
                who = b"you are " + (user or b"nobody")
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(who), who))

    def challenge(self, peer, token):
        peer.send(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a, b\", %s%s\r\n"
                  b"Content-Length: 6\r\n\r\nwho is" % (self.scheme, token))


class User(raw.Client):
    def say(self, token=None, target=b"/", method=b"GET", scheme=b"NTLM"):
        """The status of the answer, and its content."""
        fields = b"Authorization: %s %s\r\n" % (scheme, token) if token else b""
        content = b"x" if method == POST else b""
        if content:
            fields += b"Content-Length: 1\r\n"
        self.send(b"%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n%s" % (method, target, fields, content))
        head, content = self.answer()
        return head.split()[1], content

    def log_in(self, name, **how):
        """Both steps; what the second one is answered with."""
        assert self.say(NEGOTIATION, **how)[0] == b"401"
        return self.say(PROOF + name, **how)


def ok(name):
    return b"200", b"you are " + name


NO = (b"401", b"who is")
NOBODY = ok(b"nobody")


class Authentication(raw.Conversation):
    def server(self, *arguments, **options):
        server = Server(*arguments, **options)
        self.backends.append(server)
        return server

    def user(self, rondo):
        user = User(rondo)
        self.closing.append(user)
        return user


class Identities(Authentication):
    def test_nobody_else_is_ever_taken_for_a_client_that_has_authenticated(self):
        """Also while that one says nothing, and also with clients that have the same address."""
        for scheme in (b"NTLM", b"Negotiate", b"negotiate"):
            with self.subTest(scheme=scheme):
                server = self.server(scheme)
                with self.rondo(server) as rondo:
                    alice, bob = self.user(rondo), self.user(rondo)
                    self.assertEqual(alice.log_in(b"alice", scheme=scheme), ok(b"alice"))
                    self.assertEqual(bob.say(), NO)
                    self.assertEqual(bob.say(target=b"/public"), NOBODY)
                    self.assertEqual(bob.log_in(b"bob", scheme=scheme), ok(b"bob"))
                    for _ in range(3):
                        for method in (b"GET", POST):
                            self.assertEqual(alice.say(method=method), ok(b"alice"))
                            self.assertEqual(bob.say(method=method), ok(b"bob"))
                            self.assertEqual(self.user(rondo).say(target=b"/public"), NOBODY)

    def test_one_client_stays_on_its_connection_among_several_backends(self):
        """The turns of the others go on."""
        servers = [self.server() for _ in range(3)]
        with self.rondo(*servers) as rondo:
            users = {name: self.user(rondo) for name in (b"alice", b"bob", b"carol", b"dave")}
            for name, user in users.items():
                self.assertEqual(user.log_in(name), ok(name))
            for _ in range(5):
                for name, user in users.items():
                    self.assertEqual(user.say(), ok(name))
                self.assertEqual(self.user(rondo).say(target=b"/public"), NOBODY)
        where = {}
        for server in servers:
            for name, number in server.said:
                where.setdefault(name, set()).add((server, number))
        for name in users:
            self.assertEqual(len(where[name]), 1)
        self.assertEqual({server for server, _ in where[None]}, set(servers))

    def test_a_connection_that_others_used_before_can_become_bound(self):
        server = self.server()
        with self.rondo(server) as rondo:
            self.assertEqual(self.user(rondo).say(target=b"/public"), NOBODY)
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            self.assertEqual(len(server.peers), 1)
            self.assertEqual(self.user(rondo).say(), NO)
            self.assertEqual(len(server.peers), 2)

    def test_a_request_that_proves_at_once_who_sends_it_binds_as_well(self):
        """Without a challenge before: it is enough that the request uses the scheme."""
        def at_once(peer, target, user):
            if target != b"/at-once":
                return False
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            while True:
                peer.read_head()
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nyou are alice")

        server = self.server(b"Negotiate", at_once)
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.say(b"token", b"/at-once", scheme=b"Negotiate"), (b"200", b"hi"))
            self.assertEqual(self.user(rondo).say(), NO)
            self.assertEqual(alice.say(), ok(b"alice"))

    def test_other_schemes_bind_nothing(self):
        server = self.server(b"Basic")
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            for token in (b"Basic a", b"Bearer NTLM", b"NTLMv9 x"):
                self.assertEqual(alice.say(token.split()[1], scheme=token.split()[0]), NO)
            self.assertEqual(self.user(rondo).say(), NO)
        self.assertEqual(len(server.peers), 1)


    def test_an_upgrade_goes_to_the_connection_of_its_client(self):
        def tunnel(peer, target, user):
            if target == b"/tunnel":
                peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
                peer.send(b"you are " + (user or b"nobody"))
            return target == b"/tunnel"

        servers = [self.server(on_request=tunnel), self.server(on_request=tunnel)]
        with self.rondo(*servers) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            alice.upgrade()
            self.assertEqual(alice.read_to_end(), b"you are alice")
            self.assertEqual([len(server.peers) for server in servers], [1, 0])


class Ends(Authentication):
    def test_with_the_client_its_connection_to_the_backend_ends(self):
        """And nobody gets it who comes then."""
        server = self.server()
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            alice.close()
            server.threads[0].join(PATIENCE)
            self.assertFalse(server.threads[0].is_alive())
            self.assertEqual(self.user(rondo).say(), NO)
            self.assertEqual([number for _, number in server.said], [0])

    def test_also_when_it_leaves_while_it_is_answered(self):
        has_begun, may_end = threading.Event(), threading.Event()

        def slowly(peer, target, _user):
            if target == b"/slow":
                has_begun.set()
                may_end.wait(PATIENCE)
            return False

        server = self.server(on_request=slowly)
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            alice.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(has_begun.wait(PATIENCE))
            alice.close()
            self.let_it_turn(rondo)
            may_end.set()
            self.assertEqual(self.user(rondo).say(), NO)

    def test_also_when_its_last_request_says_close(self):
        server = self.server()
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            alice.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertEqual(alice.answer()[1], b"you are alice")
            self.assertEqual(self.user(rondo).say(), NO)
            server.threads[0].join(PATIENCE)
            self.assertFalse(server.threads[0].is_alive())

    def test_when_the_backend_ends_it_the_next_request_is_picked_as_usual(self):
        """Between the requests. The client has to authenticate again, and is told so by the backend."""
        servers = [self.server(), self.server()]
        with self.rondo(*servers) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            servers[0].peers[0].shutdown(2)
            for method in (POST, b"GET"):
                self.assertEqual(alice.say(method=method), NO)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            self.assertEqual(alice.say(), ok(b"alice"))
            self.assertEqual(len(servers[1].peers), 1)

    def test_what_the_backend_says_unasked_ends_it(self):
        server = self.server()
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            server.peers[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
            self.let_it_turn(rondo)
            self.assertEqual(alice.say(), NO)

    def test_an_answer_that_closes_ends_it(self):
        def last(peer, target, user):
            if target == b"/last":
                peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbye")
            return target == b"/last"

        server = self.server(on_request=last)
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            self.assertEqual(alice.say(target=b"/last"), (b"200", b"bye"))
            self.assertEqual(alice.say(), NO)

    def test_it_is_not_ended_by_its_idleness_or_age(self):
        server = self.server()
        with self.rondo(server, settings=["timeouts.backend_idle=1ms", "timeouts.backend_age=1ms"]) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            for _ in range(3):
                # It ends, so the time is over for others.
                bob = self.user(rondo)
                self.assertEqual(bob.say(target=b"/public"), NOBODY)
                server.threads[-1].join(PATIENCE)
                self.assertEqual(alice.say(), ok(b"alice"))
            self.assertEqual(len(server.peers), 4)


class Failures(Authentication):
    def fails(self, how):
        """A server that ends or answers so where the target is /fail and the user known."""
        def script(peer, target, user):
            if target == b"/fail" and user:
                peer.send(how)
            return target == b"/fail" and user

        return self.server(on_request=script)

    def test_a_request_that_is_bound_goes_to_nobody_else(self):
        """Neither after an answer that would fall through, nor after a broken one."""
        answer = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 3\r\n\r\nown"
        for how, expected in ((answer, (b"503", b"own")), (b"HTTP/1.1 999999\r\n\r\n", (b"502", None))):
            with self.subTest(how=how):
                first, second = self.fails(how), self.server()
                with self.rondo(first, second, settings=ALL_METHODS) as rondo:
                    alice = self.user(rondo)
                    self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
                    status, content = alice.say(target=b"/fail")
                    self.assertEqual(status, expected[0])
                    self.assertIn(expected[1], (content, None))
                    self.assertEqual(len(second.peers), 0)
                    # The connection is gone; now it is the turn of the other one.
                    self.assertEqual(alice.say(), NO)
                    self.assertEqual(len(second.peers), 1)

    def test_a_step_of_the_authentication_goes_to_nobody_else(self):
        """Whatever the connection was before."""
        answer = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 3\r\n\r\nown"

        def script(peer, target, _user):
            if target == b"/fail":
                peer.send(answer)
            return target == b"/fail"

        first, second = self.server(on_request=script), self.server()
        with self.rondo(first, second) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.say(NEGOTIATION, b"/fail"), (b"503", b"own"))
            self.assertEqual(len(second.peers), 0)

    def test_one_that_may_be_repeated_gets_a_second_try_at_the_same_backend(self):
        """The connection ends while the request is under way: the answer then asks to authenticate again."""
        first, second = self.fails(b""), self.server()
        with self.rondo(first, second) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            self.assertEqual(alice.say(target=b"/fail"), NO)
            self.assertEqual(len(first.peers), 2)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            self.assertEqual(alice.say(target=b"/fail", method=POST)[0], b"502")
            self.assertEqual(len(first.peers), 2)
            self.assertEqual(len(second.peers), 0)
        self.assertEqual(rondo.count_log("is down"), 0)

    def test_it_is_not_rescued_and_the_loser_of_a_rescue_serves_nobody(self):
        """A backend falls silent. A plain request is sent to the other one as well; its late answer, which asks to
        authenticate, binds the connection to nobody. The bound request waits."""
        asked, may_answer = threading.Semaphore(0), threading.Event()

        def silent(peer, target, _user):
            if target in (b"/bound", b"/plain"):
                asked.release()
                may_answer.wait(PATIENCE)
            return False

        first, second = self.server(on_request=silent), self.server()
        settings = ["silence.after=50ms", "max_delay_response=1h", "retry.deadline=1h"]
        with self.watched(first, second, settings=settings) as (rondo, page):
            alice, bob = self.user(rondo), self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            alice.send(b"GET /bound HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(asked.acquire(timeout=PATIENCE))
            self.assertEqual(bob.say(target=b"/public"), NOBODY)  # the turn of the second one
            while bob.say(target=b"/plain") and not asked.acquire(blocking=False):
                pass
            self.assertIn('rondo_rescues_total{result="won"} 1\n', page("/metrics"))
            self.assertEqual(second.said.count((None, 0)), len(second.said))
            may_answer.set()
            self.assertEqual(alice.answer()[1], b"you are alice")
            first.threads[1].join(PATIENCE)
            self.assertFalse(first.threads[1].is_alive())
            self.assertIn('rondo_rescues_total{result="won"} 1\n', page("/metrics"))


class Operation(Authentication):
    def test_without_reuse_of_connections_authentication_works_all_the_same(self):
        server = self.server()
        with self.rondo(server, settings=["timeouts.backend_idle=0"]) as rondo:
            alice, bob = self.user(rondo), self.user(rondo)
            for _ in range(3):
                self.assertEqual(bob.say(target=b"/public"), NOBODY)
            self.assertEqual(len(server.peers), 3)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            for _ in range(3):
                self.assertEqual(alice.say(), ok(b"alice"))
                self.assertEqual(bob.say(target=b"/public"), NOBODY)
            self.assertEqual(len(server.peers), 7)

    def test_without_reuse_of_connections_no_identity_that_rondo_cannot_see_is_shared(self):
        """A scheme that binds without saying so in a way that rondo knows."""
        def cookie(peer, target, _user):
            if target != b"/in":
                return False
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nin")
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nyou are alice")
            return True

        for settings, expected in (([], ok(b"alice")), (["timeouts.backend_idle=0"], NO)):
            with self.rondo(self.server(on_request=cookie), settings=settings) as rondo:
                self.assertEqual(self.user(rondo).say(target=b"/in"), (b"200", b"in"))
                self.assertEqual(self.user(rondo).say(), expected)

    def test_the_connections_show_as_idle_between_requests(self):
        server = self.server()
        with self.watched(server) as (rondo, page):
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            for state, count in (("active", 0), ("idle", 1)):
                self.assertIn(f'rondo_backend_connections{{backend="{server.name}",state="{state}"}} {count}\n',
                              page("/metrics"))

    def test_they_give_way_where_max_connections_leaves_no_room(self):
        """The one that waits for longest first; its client has to authenticate again."""
        server = self.server()
        config = 'backends = ( { url = "%s"; max_connections = 2; } );\n' % server.url
        with self.rondo(config=config) as rondo:
            alice, bob, carol = (self.user(rondo) for _ in range(3))
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            self.assertEqual(bob.log_in(b"bob"), ok(b"bob"))
            self.assertEqual(alice.say(), ok(b"alice"))
            self.assertEqual(carol.log_in(b"carol"), ok(b"carol"))
            self.assertEqual(alice.say(), ok(b"alice"))
            self.assertEqual(bob.say(), NO)
            self.assertEqual(alice.say(), ok(b"alice"))
            self.assertEqual(carol.say(), NO)

    def test_they_give_way_to_a_request_that_waits_for_a_place(self):
        has_begun, may_end = threading.Event(), threading.Event()

        def slowly(_peer, target, _user):
            if target == b"/slow":
                has_begun.set()
                may_end.wait(PATIENCE)
            return False

        server = self.server(on_request=slowly)
        config = 'backends = ( { url = "%s"; max_connections = 1; } );\nqueue: { wait = "1h"; };\n' % server.url
        with self.rondo(config=config) as rondo:
            alice, bob = self.user(rondo), self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            alice.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(has_begun.wait(PATIENCE))
            bob.send(b"GET /public HTTP/1.1\r\nHost: a\r\n\r\n")
            self.let_it_turn(rondo)
            may_end.set()
            self.assertEqual(alice.answer()[1], b"you are alice")
            self.assertEqual(bob.answer()[1], b"you are nobody")
            self.assertEqual(alice.say(), NO)

    def test_a_reload_leaves_them_and_ends_those_of_a_removed_backend(self):
        """But for an authentication under way, which still ends there."""
        first, second, third = (self.server() for _ in range(3))
        config = "backends = ( %s );\n"
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            raw.write_config(file.name, config % f'"{first.url}"')
            with raw.Rondo(self.binary, [], (), file.name) as rondo:
                alice, bob = self.user(rondo), self.user(rondo)
                self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
                self.assertEqual(bob.say(NEGOTIATION)[0], b"401")
                raw.write_config(file.name, config % f'"{first.url}", "{second.url}"')
                rondo.reload()
                for _ in range(4):
                    self.assertEqual(alice.say(), ok(b"alice"))
                raw.write_config(file.name, config % f'"{third.url}"')
                rondo.reload()
                self.assertEqual(bob.say(PROOF + b"bob"), ok(b"bob"))
                self.assertEqual(first.said[-1], (b"bob", 1))
                for user, name in ((bob, b"bob"), (alice, b"alice")):
                    self.assertEqual(user.say(), NO)
                    self.assertEqual(user.log_in(name), ok(name))
                    self.assertEqual(third.said[-1][0], name)
                for thread in first.threads:
                    thread.join(PATIENCE)
                    self.assertFalse(thread.is_alive())
                while self.closing:
                    self.closing.pop().close()

    def test_a_drain_ends_them_but_not_an_authentication_under_way(self):
        first, second = self.server(), self.server()
        with tempfile.TemporaryDirectory() as place:
            socket = place + "/admin"
            with self.rondo(first, second, settings=["admin.socket=" + socket]) as rondo:
                alice, bob = self.user(rondo), self.user(rondo)
                self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
                self.assertEqual(self.user(rondo).say(target=b"/public"), NOBODY)
                self.assertEqual(bob.say(NEGOTIATION)[0], b"401")
                self.assertEqual(len(first.peers), 2)
                ctl = os.path.join(os.path.dirname(self.binary), "rondoctl")
                subprocess.run([ctl, "-s", socket, "drain", first.name], check=True, stdout=subprocess.DEVNULL)
                self.assertEqual(bob.say(PROOF + b"bob"), ok(b"bob"))
                self.assertEqual(first.said[-1], (b"bob", 1))
                for user, name in ((bob, b"bob"), (alice, b"alice")):
                    self.assertEqual(user.say(), NO)
                    self.assertEqual(user.log_in(name), ok(name))
                    self.assertEqual(second.said[-1][0], name)

    def test_a_successor_takes_the_clients_that_come_and_leaves_those_that_are_there(self):
        server = self.server()
        with self.rondo(server) as rondo:
            alice = self.user(rondo)
            self.assertEqual(alice.log_in(b"alice"), ok(b"alice"))
            rondo.succeed()
            self.assertEqual(self.user(rondo).say(), NO)
            self.assertEqual(alice.say(), ok(b"alice"))


if __name__ == "__main__":
    raw.main(__doc__)
