// wgmma, the copy engine and mbarriers, by their definition in the PTX manual; see hopper.h for when things happen.
#include "hopper.h"
#include <cstring>
#include <map>
#include <vector>

namespace labora_emulation {

namespace {

const u8 GARBAGE = 0xa5;
const u32 WARPGROUP = 4;   // warps
const u32 K = 32;          // of one wgmma in int8
const u32 MAX_BOX = 256;   // cuTensorMapEncodeTiled: rows or columns of a box
const u32 MAX_BYTES = (1u << 20) - 1;  // of one phase's transaction count

struct Barrier {
    u32 expected, pending, phase;
    long long bytes;
};

struct Box {
    u32 to, column, row, barrier;
    EmulatedMap map;
};

struct Store {
    void* to;
    u32 from, bytes;
};

// One wgmma of one thread. While it is on its way, d is garbage and its value is in `value`, shared by those of the same d.
struct Product {
    i32* d;
    u32 n;
    u64 a, b;
    bool accumulate;
};

struct Flight {
    i32* d;
    u32 n, count;
    std::vector<i32> value;
};

struct HopperThread {
    std::vector<Store> stores;
    std::vector<u32> store_groups;  // stores in each closed group, oldest first
    u32 stores_grouped = 0;
    bool unfenced = false;  // ordinary stores to shared memory that the copy engine may not see yet
    std::vector<Product> products;
    std::vector<u32> groups;
    u32 grouped = 0;
    bool fenced = false;  // since it last waited for products: its accumulators may be given to wgmma
    std::vector<Flight> flights;
    u64 issued = 0;
};

struct Issued {
    u64 a, b;
    u32 n;
    bool accumulate;
    u64 number;
};

struct State {
    std::map<u32, Barrier> barriers;
    std::vector<Box> boxes;
    std::vector<HopperThread> threads;
    std::map<u32, Issued> newest;  // of each warpgroup, to see that its warps issue the same
    u32 slow = 0;                  // a warp
};

State& state() {
    static thread_local State own;
    static thread_local u32 blocks = 0;
    if (!current_block->extension) {
        own = State();
        own.slow = blocks++ % ((current_block->count + 31) / 32);
        own.threads.resize(current_block->count);
        current_block->extension = &own;
    }
    return own;
}

HopperThread& self() { return state().threads[current->number]; }

Barrier& at(u32 barrier) {
    auto found = state().barriers.find(barrier);
    if (found == state().barriers.end()) fail("no mbarrier was made at %u", barrier - SHARED_BASE);
    return found->second;
}

void complete(Barrier& barrier) {
    if (barrier.pending == 0 && barrier.bytes == 0) {
        barrier.phase ^= 1;
        barrier.pending = barrier.expected;
    }
}

// Address of a byte under the 128-byte swizzle: within 1,024 bytes, units of 16 are moved by the XOR of their row.
u32 swizzled(u32 address) { return address ^ (address >> 7 & 7) << 4; }

u8* swizzled_at(u32 address) { return shared_at(SHARED_BASE + swizzled(address - SHARED_BASE), 16, 16); }

void land(const Box& box) {
    const EmulatedMap& map = box.map;
    for (u32 r = 0; r < map.box_outer; ++r) {
        for (u32 c = 0; c < 128; c += 16) {
            u8* const to = swizzled_at(box.to + r * 128 + c);
            memset(to, 0, 16);
            const u64 row = (u64)box.row + r, column = (u64)box.column + c;
            if (row < map.outer && column < map.inner) {
                const u64 rest = map.inner - column;
                memcpy(to, (const u8*)map.base + row * map.stride + column, rest < 16 ? rest : 16);
            }
        }
    }
    Barrier& barrier = at(box.barrier);
    barrier.bytes -= map.box_inner * map.box_outer;
    complete(barrier);
}

struct Wait {
    u32 barrier, parity;
};

// One warp of each block, another from block to block, is slow: what lets its first lane through holds it back for so many turns of the others
// all the same, so that who relies on its haste is found out.
const u32 TURNS = 300;

bool second_time(void* what) {
    bool& asked = *(bool*)what;
    const bool before = asked;
    asked = true;
    return before;
}

void hold_back() {
    if (current->warp != state().slow || current->lane != 0) return;
    for (u32 turn = 0; turn < TURNS; ++turn) {
        bool asked = false;
        wait_for(second_time, &asked);
    }
}

bool passed(void* what) {
    const Wait& wait = *(Wait*)what;
    Barrier& barrier = at(wait.barrier);
    if (barrier.phase == wait.parity) {
        // Someone waits: what was sent for it lands now.
        auto& boxes = state().boxes;
        size_t kept = 0;
        for (size_t i = 0; i < boxes.size(); ++i) {
            if (boxes[i].barrier == wait.barrier) land(boxes[i]);
            else boxes[kept++] = boxes[i];
        }
        boxes.resize(kept);
    }
    return barrier.phase != wait.parity;
}

// Rows of an operand, without their swizzle, each K bytes.
struct Operand {
    u32 address, stride;
    Operand(u64 descriptor) : address(SHARED_BASE_OF(descriptor)), stride((u32)(descriptor >> 32 & 0x3fff) << 4) {
        if (descriptor >> 62 != 1) fail("a descriptor without the 128-byte swizzle, which alone is emulated");
        if ((descriptor >> 49 & 7) != 0) fail("a descriptor with a base offset");
        if (stride == 0) fail("a descriptor whose groups of rows have no stride");
    }
    static u32 SHARED_BASE_OF(u64 descriptor) { return (u32)(descriptor & 0x3fff) << 4; }
    void row(u32 r, short* out) const {
        for (u32 c = 0; c < K; c += 16) {
            const signed char* from = (const signed char*)swizzled_at(address + r / 8 * stride + r % 8 * 128 + c);
            for (u32 i = 0; i < 16; ++i) out[c + i] = from[i];
        }
    }
};

struct Retiring {
    HopperThread* thread;
    u32 pending;
};

Flight& flight_of(HopperThread& thread, i32* d) {
    for (Flight& flight : thread.flights)
        if (flight.d == d) return flight;
    fail("a product whose accumulators are not known");
}

// This warp's 16 rows of one wgmma, on the operands that its lanes agree on.
void multiply(HopperThread* const* lanes, const Product& product, u32 warp) {
    static thread_local short a[16][K], b[256][K];
    const Operand left(product.a), right(product.b);
    for (u32 r = 0; r < 16; ++r) left.row(warp % WARPGROUP * 16 + r, a[r]);
    for (u32 c = 0; c < product.n; ++c) right.row(c, b[c]);
    for (u32 r = 0; r < 16; ++r) {
        for (u32 quarter = 0; quarter < 4; ++quarter) {
            std::vector<i32>& value = flight_of(*lanes[r % 8 * 4 + quarter], lanes[r % 8 * 4 + quarter]->products[0].d).value;
            for (u32 c = 2 * quarter; c < product.n; c += 8) {
                for (u32 next = 0; next < 2; ++next) {
                    i32 sum = 0;
                    for (u32 k = 0; k < K; ++k) sum += a[r][k] * b[c + next][k];
                    i32& entry = value[c / 8 * 4 + r / 8 * 2 + next];
                    entry = (i32)((product.accumulate ? (u32)entry : 0) + (u32)sum);
                }
            }
        }
    }
}

void retire(void** parts, u32 lanes) {
    if (lanes != 32) fail("wgmma by a warp of fewer than 32 threads");
    HopperThread* threads[32] = {};
    for (u32 i = 0; i < lanes; ++i) threads[i] = ((Retiring*)parts[i])->thread;
    const u32 pending = ((Retiring*)parts[0])->pending;
    for (u32 i = 1; i < lanes; ++i)
        if (threads[i]->groups != threads[0]->groups) fail("lanes of a warp have committed different groups of wgmma");
    while (threads[0]->groups.size() > pending) {
        for (u32 left = threads[0]->groups[0]; left > 0; --left) {
            const Product product = threads[0]->products[0];
            for (u32 i = 1; i < lanes; ++i) {
                const Product& other = threads[i]->products[0];
                if (other.a != product.a || other.b != product.b || other.n != product.n || other.accumulate != product.accumulate)
                    fail("lanes of a warp have issued different wgmma");
            }
            multiply(threads, product, current->warp);
            for (u32 i = 0; i < lanes; ++i) {
                HopperThread& thread = *threads[i];
                Flight& flight = flight_of(thread, thread.products[0].d);
                thread.products.erase(thread.products.begin());
                if (--flight.count == 0) {
                    memcpy(flight.d, flight.value.data(), flight.value.size() * sizeof(i32));
                    thread.flights.erase(thread.flights.begin() + (&flight - thread.flights.data()));
                }
            }
        }
        for (u32 i = 0; i < lanes; ++i) threads[i]->groups.erase(threads[i]->groups.begin());
    }
}

}  // namespace

void store8(void* to, u32 x, u32 y) {
    if ((uintptr_t)to % 8 != 0) fail("a store of 8 bytes that is not aligned");
    shared_address(to);
    memcpy(to, &x, 4);
    memcpy((u8*)to + 4, &y, 4);
    self().unfenced = true;
}

void mbarrier_init(u32 barrier, u32 arrivals) {
    shared_at(barrier, 8, 8);
    if (arrivals == 0) fail("an mbarrier for no arrival");
    state().barriers[barrier] = {arrivals, arrivals, 0, 0};
}

void mbarrier_arrive(u32 address, u32 bytes) {
    Barrier& barrier = at(address);
    if (barrier.pending == 0) fail("more than %u arrivals at an mbarrier", barrier.expected);
    barrier.bytes += bytes;
    if (barrier.bytes > MAX_BYTES) fail("an mbarrier that waits for %lld bytes", barrier.bytes);
    --barrier.pending;
    complete(barrier);
}

void mbarrier_wait(u32 barrier, u32 parity) {
    Wait wait = {barrier, parity};
    wait_for(passed, &wait);
    hold_back();
}

void load_box(u32 to, const void* map, u32 column, u32 row, u32 barrier) {
    Box box = {to, column, row, barrier, {}};
    memcpy(&box.map, map, sizeof box.map);
    if (box.map.swizzle != 128 || box.map.box_inner != 128) fail("a box that is not 128 bytes wide with the 128-byte swizzle");
    if (box.map.box_outer == 0 || box.map.box_outer > MAX_BOX) fail("a box of %u rows", box.map.box_outer);
    if ((uintptr_t)box.map.base % 16 != 0 || box.map.stride % 16 != 0) fail("a matrix whose rows are not aligned to 16 bytes");
    memset(shared_at(to, 128 * box.map.box_outer, 1024), GARBAGE, 128 * box.map.box_outer);
    at(barrier);
    state().boxes.push_back(box);
}

void bulk_store(void* to, u32 from, u32 bytes) {
    if ((uintptr_t)to % 16 != 0 || bytes % 16 != 0 || bytes == 0) fail("a bulk store of %u bytes, or one that is not aligned to 16", bytes);
    shared_at(from, bytes, 16);
    const u32 first = current->warp * 32;
    for (u32 lane = 0; lane < 32 && first + lane < current_block->count; ++lane)
        if (state().threads[first + lane].unfenced) fail("a bulk store of what lane %u wrote without a fence", lane);
    self().stores.push_back({to, from, bytes});
    ++self().stores_grouped;
}

void bulk_store_commit() {
    HopperThread& thread = self();
    thread.store_groups.push_back(thread.stores_grouped);
    thread.stores_grouped = 0;
}

void bulk_store_wait(u32 pending) {
    HopperThread& thread = self();
    while (thread.store_groups.size() > pending) {
        for (u32 left = thread.store_groups[0]; left > 0; --left) {
            const Store& store = thread.stores[0];
            memcpy(store.to, shared_at(store.from, store.bytes, 16), store.bytes);
            thread.stores.erase(thread.stores.begin());
        }
        thread.store_groups.erase(thread.store_groups.begin());
    }
}

void async_proxy_fence() { self().unfenced = false; }

void wgmma(i32* d, u32 n, u64 a, u64 b, u32 accumulate) {
    HopperThread& thread = self();
    if (n % 8 != 0 || n == 0 || n > 256) fail("a wgmma of %u columns", n);
    // The four warps of a warpgroup issue the same, one after the other.
    Issued& newest = state().newest[current->warp / WARPGROUP];
    const Issued mine = {a, b, n, accumulate != 0, ++thread.issued};
    if (mine.number > newest.number) {
        newest = mine;
    } else if (mine.number == newest.number &&
               (mine.a != newest.a || mine.b != newest.b || mine.n != newest.n || mine.accumulate != newest.accumulate)) {
        fail("warps of a warpgroup have issued different wgmma");
    }
    Flight* flight = nullptr;
    for (Flight& other : thread.flights)
        if (other.d == d) flight = &other;
    if (!flight) {
        if (!thread.fenced) fail("wgmma on accumulators that were not fenced since the last wait");
        thread.flights.push_back({d, n, 0, std::vector<i32>(d, d + n / 2)});
        flight = &thread.flights.back();
        memset(d, GARBAGE, n / 2 * sizeof(i32));
    }
    ++flight->count;
    thread.products.push_back({d, n, a, b, accumulate != 0});
    ++thread.grouped;
}

void wgmma_fence() { self().fenced = true; }

void wgmma_commit() {
    HopperThread& thread = self();
    thread.groups.push_back(thread.grouped);
    thread.grouped = 0;
}

void wgmma_wait(u32 pending) {
    static const char WAIT[] = "wgmma.wait_group";
    // Until then the operands are read: whoever was told too early that they are free has overwritten them by now.
    hold_back();
    self().fenced = false;
    Retiring part = {&self(), pending};
    meet_warp(&part, WAIT, retire);
}

void hopper_end() {
    if (!current_block->extension) return;
    State& all = state();
    if (!all.boxes.empty()) fail("%u boxes were loaded that nobody waited for", (u32)all.boxes.size());
    for (const HopperThread& thread : all.threads) {
        if (!thread.products.empty()) fail("wgmma was issued that nobody waited for");
        if (!thread.stores.empty()) fail("shared memory ended before the bulk stores from it");
    }
}

}  // namespace labora_emulation
