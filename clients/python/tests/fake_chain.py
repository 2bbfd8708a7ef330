"""A chain in this process: RPC over a WebSocket, blocks as fast as tests want, the market's rules, and mishaps.

Signatures are checked, and so are nonces and eras, as a node does: what it takes, it was signed rightly.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import websockets.exceptions
import websockets.sync.server

from labora._jobs import ss58
from labora._jobs.keys import Key, verify
from labora._jobs.scale import Choice, Reader
from labora._jobs.transaction import PERIOD_BLOCKS
from tiny_metadata import ERRORS, METADATA, PARSED

BLOCK_S = 0.03
LAB = 10**12
TRANSACTION_FEE = 1_234_567
WINDOW_BLOCKS = 40
KEYS = [Key.from_uri("//Dave", scheme) for scheme in ("sr25519", "ed25519", "ecdsa")] + [
    Key.from_uri("//Charlie"),
    Key.from_uri("//Alice"),
]


class Refusal(Exception):
    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        self.error = {"code": code, "message": message, "data": data}


class Block:
    def __init__(self, parent: Block | None, salt: int) -> None:
        self.number = parent.number + 1 if parent else 0
        self.parent = parent.hash if parent else bytes(32)
        self.hash = hashlib.blake2b(self.parent + salt.to_bytes(8, "big"), digest_size=32).digest()
        self.extrinsics: list[bytes] = []
        self.events: list[tuple[int, Choice]] = []
        self.nonces: Counter[bytes] = Counter(parent.nonces if parent else {})
        self.jobs: dict[int, dict[str, Any]] = {
            number: dict(job) for number, job in (parent.jobs if parent else {}).items()
        }
        self.posted: int = parent.posted if parent else 0


class FakeChain:
    """The chain; its attributes bring about mishaps."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.chain = [Block(None, 0)]
        self.all = {self.chain[0].hash: self.chain[0]}
        self.salt = 0
        self.pool: list[bytes] = []
        self.called: Counter[str] = Counter()
        #: Transactions that are taken into the pool and lost.
        self.drops = 0
        #: Refusals by the pool, given before all else.
        self.refusals: list[Refusal] = []
        #: Calls after which the connection is cut, before the answer.
        self.cuts = 0
        #: Blocks are made.
        self.runs = True
        #: Blocks of a claim: at 0.03 s each, longer than a busy machine takes for a job.
        self.claim_blocks = 2_000
        self.balance = 1_000 * LAB
        self.going_rate: int | None = None
        #: What the fund has, what it pays at most for 10¹² multiply-accumulates, and what is left to each member.
        self.fund, self.max_rate = 100 * LAB, 3 * LAB
        self.grants: dict[str, int] = {}
        #: For how long such a job can be open, and what can be held for an institution's.
        self.open_blocks, self.room = 14_400, 40 * LAB

    # ---- blocks

    def make_block(self, *, empty: bool = False) -> None:
        with self.lock:
            self.salt += 1
            block = Block(self.chain[-1], self.salt)
            pending, self.pool = (self.pool, []) if not empty else ([], self.pool)
            for data in pending:
                sender, nonce, birth, call = self.read(data)
                if nonce != block.nonces[sender] or not birth <= block.number < birth + PERIOD_BLOCKS:
                    if nonce > block.nonces[sender]:
                        self.pool.append(data)
                    continue
                block.nonces[sender] += 1
                index = len(block.extrinsics)
                block.extrinsics.append(data)
                try:
                    self.apply(block, index, sender, call)
                    block.events.append((index, Choice("System", Choice("ExtrinsicSuccess"))))
                except KeyError as error:
                    code = list(ERRORS).index(error.args[0])
                    failed = Choice("Module", {"index": 40, "error": bytes([code, 0, 0, 0])})
                    event = Choice("ExtrinsicFailed", {"dispatch_error": failed})
                    block.events.append((index, Choice("System", event)))
            self.chain.append(block)
            self.all[block.hash] = block

    def give_up(self, count: int, *, loses: bool = False) -> None:
        """The last blocks are given up; their transactions come back to the pool, or are lost."""
        with self.lock:
            gone, self.chain = self.chain[-count:], self.chain[:-count]
            back = [data for block in gone for data in block.extrinsics]
            if not loses:
                self.pool = back + self.pool
            for _ in range(count):
                self.make_block(empty=True)

    def read(self, data: bytes) -> tuple[bytes, int, int, Choice]:
        """Checks a transaction, and reads sender, nonce, first block and call."""
        reader = Reader(data)
        if reader.compact() != reader.left or reader.take(1) != b"\x84":
            raise Refusal(1010, "Invalid Transaction", "not a transaction")
        types = PARSED.types
        sender = types.read(PARSED.address, reader).value
        kind, signature = types.read(PARSED.signature, reader)
        start = len(data) - reader.left
        era, nonce, tip, mode = reader.integer(2), reader.compact(), reader.compact(), reader.take(1)
        call_at = len(data) - reader.left
        call = types.read(PARSED.call, reader)
        phase = era >> 4
        assert (era & 15, tip, mode, reader.left) == (5, 0, b"\0", 0)
        best = self.chain[-1].number
        birth = best - (best - phase) % PERIOD_BLOCKS
        if birth < 0:
            raise Refusal(1010, "Invalid Transaction", "Transaction has an ancient birth block")
        additional = (7).to_bytes(4, "little") + (1).to_bytes(4, "little") + self.chain[0].hash
        message = data[call_at:] + data[start:call_at] + additional + self.chain[birth].hash + b"\0"
        if len(message) > 256:
            message = hashlib.blake2b(message, digest_size=32).digest()
        key = next((key for key in KEYS if key.account == sender and key.signature_kind == kind), None)
        if key is None or not verify(key, message, signature):
            raise Refusal(1010, "Invalid Transaction", "Transaction has a bad signature")
        return sender, nonce, birth, call

    # ---- the market

    def apply(self, block: Block, index: int, sender: bytes, call: Choice) -> None:
        name, fields = call.value
        if name in ("post", "sponsor"):
            if fields["fee"] < LAB // 50:
                raise KeyError("FeeTooLow")
            number, block.posted = block.posted, block.posted + 1
            batch = fields["batch"]
            block.jobs[number] = {
                "job": number, "poster": ss58.address(sender), "stage": "open",
                "payer": ss58.address(b"fund" * 8) if name == "sponsor" else None, "fee": str(fields["fee"]),
                "deposit": str(LAB // 100),
                "deadline": block.number + fields["open_blocks"], "macs": str(sum(one["m"] for one in batch["left"])),
                "b": "0x" + batch["root_b"].hex(), "n": batch["n"], "k": batch["k"], "worker": None, "bond": None,
                "products": [{"a": "0x" + one["root"].hex(), "m": one["m"], "c": None} for one in batch["left"]],
                "claimedUntil": None, "window": None, "settledAt": None,
            }  # fmt: skip
            posted = {"job": number, "poster": sender, "fee": fields["fee"], "macs": 1, "deadline": 0}
            block.events.append((index, Choice("Jobs", Choice("Posted", posted))))
            return
        job = block.jobs.get(fields["job"])
        if job is None:
            raise KeyError("NoSuchJob")
        getattr(self, f"_{name}")(block, index, job, ss58.address(sender), fields)

    def _own(self, job: dict, who: str, stage: str) -> None:
        if job["poster"] != who:
            raise KeyError("NotThePoster")
        if job["stage"] != stage:
            raise KeyError("WrongStage")

    def _raise(self, block: Block, index: int, job: dict, who: str, fields: dict) -> None:
        self._own(job, who, "open")
        job["fee"] = str(int(job["fee"]) + fields["by"])

    def _cancel(self, block: Block, index: int, job: dict, who: str, fields: dict) -> None:
        self._own(job, who, "open")
        self._refund(block, index, job, "Cancelled")

    def _refund(self, block: Block, index: int, job: dict, why: str) -> None:
        del block.jobs[job["job"]]
        block.events.append((index, Choice("Jobs", Choice("Refunded", {"job": job["job"], "refund": Choice(why)}))))

    def _claim(self, block: Block, index: int, job: dict, who: str, fields: dict) -> None:
        if job["stage"] != "open":
            raise KeyError("WrongStage")
        job.update(stage="claimed", worker=who, bond=str(2 * int(job["fee"])), claimedUntil=block.number + self.claim_blocks)

    def _submit(self, block: Block, index: int, job: dict, who: str, fields: dict) -> None:
        if job["stage"] != "claimed":
            raise KeyError("WrongStage")
        since = block.number
        window = {"since": since, "attestUntil": since + 20, "revealUntil": since + 30, "ends": since + WINDOW_BLOCKS}
        roots = ["0x" + root.hex() for root in fields["roots"]]
        products = [{**one, "c": root} for one, root in zip(job["products"], roots, strict=True)]
        job.update(stage="submitted", window=window, products=products, claimedUntil=None)

    def _accept(self, block: Block, index: int, job: dict, who: str, fields: dict) -> None:
        self._own(job, who, "submitted")
        # Its auditors never speak.
        if job["payer"] is not None:
            raise KeyError("NotAudited")
        job.update(stage="settled", window=None, bond=None, settledAt=block.number)

    def _forget(self, block: Block, index: int, job: dict, who: str, fields: dict) -> None:
        self._own(job, who, "settled")
        del block.jobs[job["job"]]

    def _poke(self, block: Block, index: int, job: dict, who: str, fields: dict) -> None:
        if job["stage"] == "open" and block.number > job["deadline"]:
            return self._refund(block, index, job, "Deadline")
        if job["stage"] == "claimed" and block.number > job["claimedUntil"]:
            return job.update(stage="open", worker=None, bond=None, claimedUntil=None)
        if job["stage"] == "submitted" and block.number > job["window"]["ends"]:
            return job.update(stage="settled", window=None, bond=None, settledAt=block.number)
        raise KeyError("NotDue")

    # ---- RPC

    def answer(self, method: str, params: list[Any]) -> Any:
        with self.lock:
            self.called[method] += 1
            return getattr(self, f"rpc_{method}")(*params)

    def at(self, block: str | None) -> Block:
        return self.chain[-1] if block is None else self.all[bytes.fromhex(block[2:])]

    def rpc_chain_getBlockHash(self, number: int | None = None) -> str | None:
        if number is None:
            return "0x" + self.chain[-1].hash.hex()
        return "0x" + self.chain[number].hash.hex() if number < len(self.chain) else None

    def rpc_chain_getHeader(self, block: str | None = None) -> dict[str, str]:
        it = self.at(block)
        return {"number": hex(it.number), "parentHash": "0x" + it.parent.hex()}

    def rpc_chain_getFinalizedHead(self) -> str:
        return "0x" + self.chain[max(0, len(self.chain) - 6)].hash.hex()

    def rpc_chain_getBlock(self, block: str) -> dict[str, Any]:
        extrinsics = ["0x" + data.hex() for data in self.at(block).extrinsics]
        return {"block": {"header": self.rpc_chain_getHeader(block), "extrinsics": extrinsics}}

    def rpc_state_getRuntimeVersion(self) -> dict[str, int]:
        return {"specVersion": 7, "transactionVersion": 1}

    def rpc_state_getMetadata(self) -> str:
        return "0x" + METADATA.hex()

    def rpc_state_getStorage(self, key: str, block: str | None = None) -> str | None:
        pallet, types = PARSED.pallet("System"), PARSED.types
        if len(key) > 66:
            data = {"free": self.balance, "reserved": 5 * LAB, "frozen": 0, "flags": 0}
            info = {"nonce": 0, "consumers": 0, "providers": 1, "sufficients": 0, "data": data}
            return "0x" + types.encode(pallet.storage["Account"], info).hex()
        records = [
            {"phase": Choice("ApplyExtrinsic", index), "event": event, "topics": []}
            for index, event in self.at(block).events
        ]
        return "0x" + types.encode(pallet.storage["Events"], records).hex()

    def rpc_state_call(self, method: str, account: str, block: str) -> str:
        assert method == "AccountNonceApi_account_nonce"
        return "0x" + self.at(block).nonces[bytes.fromhex(account[2:])].to_bytes(4, "little").hex()

    def rpc_system_accountNextIndex(self, address: str) -> int:
        account = ss58.account(address)
        waiting = sum(1 for data in self.pool if self.read(data)[0] == account)
        return self.chain[-1].nonces[account] + waiting

    def rpc_payment_queryInfo(self, data: str) -> dict[str, str]:
        assert bytes(64) in bytes.fromhex(data[2:])
        return {"partialFee": str(TRANSACTION_FEE)}

    def rpc_author_submitExtrinsic(self, data: str) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        extrinsic = bytes.fromhex(data[2:])
        sender, nonce, birth, _ = self.read(extrinsic)
        if extrinsic in self.pool:
            raise Refusal(1013, "Transaction is already imported")
        if nonce < self.chain[-1].nonces[sender]:
            raise Refusal(1010, "Invalid Transaction", "Transaction is outdated")
        if self.drops:
            self.drops -= 1
        else:
            self.pool.append(extrinsic)
        return "0x"

    def rpc_jobs_market(self) -> dict[str, Any]:
        rate = None if self.going_rate is None else str(self.going_rate)
        return {
            "workerSharePpb": 850_000_000, "auditorSharePpb": 50_000_000, "failureSharePpb": 100_000_000,
            "leastFee": str(LAB // 50), "bondFactor": 2, "macsPerBlock": "600000000000", "leastClaimBlocks": self.claim_blocks,
            "committee": 5, "longestOpenBlocks": 216_000, "keptBlocks": 1_200, "challengeWindow": WINDOW_BLOCKS,
            "depositBase": str(LAB // 100), "depositPerProduct": str(LAB // 500), "goingRate": rate,
            "posted": self.chain[-1].posted,
        }  # fmt: skip

    def rpc_grants_fund(self) -> dict[str, Any]:
        return {
            "free": str(self.fund),
            "maxRate": str(self.max_rate),
            "openBlocks": self.open_blocks,
            "heldQuotas": 4,
            "eraEnds": 240,
        }

    def rpc_grants_of(self, address: str) -> dict[str, Any]:
        left = self.grants.get(address)
        room = 0 if left is None else self.room
        return {"memberOf": None if left is None else 2, "left": str(left or 0), "room": str(room)}

    def rpc_jobs_get(self, number: int) -> dict[str, Any]:
        job = self.chain[-1].jobs.get(number)
        if job is None:
            raise Refusal(-32060, f"unknown job: {number}")
        return {**job, "auditors": [] if job["stage"] == "submitted" else None}

    def rpc_jobs_explain(self, number: int) -> dict[str, Any]:
        stage = self.rpc_jobs_get(number)["stage"]
        return {
            "job": number,
            "stage": stage,
            "summary": f"It is {stage}.",
            "because": ["So it is."],
            "next": ["Wait."],
        }

    def rpc_jobs_list(self, wanted: dict | None, below: int | None, most: int) -> dict[str, Any]:
        numbers = [number for number in sorted(self.chain[-1].jobs, reverse=True) if below is None or number < below]
        page = [self.chain[-1].jobs[number] for number in numbers[:2]]
        found = [job for job in page if all(job[name] == value for name, value in (wanted or {}).items())]
        return {"jobs": found, "below": numbers[1] if len(numbers) > 2 else None}


def serve_connection(chain: FakeChain, connection: websockets.sync.server.ServerConnection) -> None:
    try:
        for text in connection:
            request = json.loads(text)
            if chain.cuts:
                chain.cuts -= 1
                connection.close()
                return
            reply = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                reply["result"] = chain.answer(request["method"], request["params"])
            except Refusal as refusal:
                reply["error"] = refusal.error
            except AttributeError:
                reply["error"] = {"code": -32601, "message": "Method not found"}
            connection.send(json.dumps(reply))
    except websockets.exceptions.ConnectionClosed:
        pass


@contextmanager
def running(chain: FakeChain) -> Iterator[str]:
    """Serves a chain; where."""
    with websockets.sync.server.serve(lambda connection: serve_connection(chain, connection), "127.0.0.1", 0) as server:
        ends = threading.Event()

        def mine() -> None:
            while not ends.wait(BLOCK_S):
                if chain.runs:
                    chain.make_block()

        threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=mine)]
        for thread in threads:
            thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            ends.set()
            server.shutdown()
            for thread in threads:
                thread.join()


def until(condition: Any, limit_s: float = 20.0) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
