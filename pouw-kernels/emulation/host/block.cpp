// Thread blocks as fibres: context switch, scheduling, meetings, and launch, which runs a grid block by block.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include "hopper.h"
#include "shim.h"

#if !defined(__x86_64__) || defined(LABORA_UCONTEXT)
#define LABORA_UCONTEXT 1
#include <ucontext.h>
#else
#define LABORA_UCONTEXT 0
// Saves the callee-saved registers of the System V ABI on the stack, swaps stacks, restores. swapcontext would do, but for two system calls.
asm(R"(
.text
.p2align 4
.type labora_emulation_switch, @function
labora_emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size labora_emulation_switch, .-labora_emulation_switch
)");
extern "C" void labora_emulation_switch(void** save, void* to);
#endif

namespace labora_emulation {

__thread Thread* current;
__thread Block* current_block;

namespace {

// A fibre's stack and, below it, a page that faults.
const size_t STACK = 64 << 10;
const size_t GUARD = 4 << 10;
// Most dynamic shared memory of a block on any target, and what lies behind it, so that writes past a block's own share are seen.
const u32 MAX_SHARED = 227 << 10;
const u32 SHARED = 256 << 10;
const u8 UNWRITTEN = 0xa5;

struct Machine {
    Thread threads[MAX_THREADS];
    u32 order[MAX_THREADS];  // in which threads are looked through
    u32 place[MAX_THREADS];  // its inverse
    Block block;
    u8* stacks;
    u8* shared;
    u32 live;
    void (*run)(void* const*);
    void* const* arguments;
    bool failed;
    char message[512];
#if LABORA_UCONTEXT
    ucontext_t contexts[MAX_THREADS + 1];
#else
    void* main_stack_pointer;
#endif
};

__thread Machine* machine;

void enter_main() {
#if LABORA_UCONTEXT
    swapcontext(&machine->contexts[current->number], &machine->contexts[MAX_THREADS]);
#else
    labora_emulation_switch(&current->stack_pointer, machine->main_stack_pointer);
#endif
}

bool can_run(Thread& thread) {
    return !thread.done && !(thread.counter && *thread.counter == thread.value) && !(thread.ready && !thread.ready(thread.what));
}

// Runs the next thread that can; returns when this one is up again.
void yield() {
    Machine& m = *machine;
    Thread* self = current;
    const u32 count = m.block.count, start = m.place[self->number];
    for (u32 step = 1; step <= count; ++step) {
        const u32 at = start + step < count ? start + step : start + step - count;
        Thread& next = m.threads[m.order[at]];
        if (!can_run(next)) continue;
        next.counter = nullptr;
        next.ready = nullptr;
        if (&next == self) return;
        current = &next;
#if LABORA_UCONTEXT
        swapcontext(&m.contexts[self->number], &m.contexts[next.number]);
#else
        labora_emulation_switch(&self->stack_pointer, next.stack_pointer);
#endif
        return;
    }
    if (m.live == 0) enter_main();
    u32 first = 0;
    while (m.threads[first].done) ++first;
    fail("deadlock: all of %u live threads wait; the first is thread %u", m.live, first);
}

void fibre() {
    machine->run(machine->arguments);
    if (current->pending_count != 0) fail("thread %u ended with copies that it never waited for", current->number);
    current->done = true;
    if (--machine->live == 0) hopper_end();
    yield();
    abort();  // a thread that is done is never resumed
}

void prepare(u32 number) {
    Machine& m = *machine;
    u8* stack = m.stacks + number * (STACK + GUARD) + GUARD;
#if LABORA_UCONTEXT
    ucontext_t& context = m.contexts[number];
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, fibre, 0);
#else
    // Six registers, the address to return to, and one word, so that the stack is aligned as after a call.
    void** top = (void**)(stack + STACK) - 8;
    memset(top, 0, 8 * sizeof(void*));
    top[6] = (void*)fibre;
    m.threads[number].stack_pointer = top;
#endif
}

void start_main() {
    Machine& m = *machine;
    current = &m.threads[m.order[0]];
#if LABORA_UCONTEXT
    swapcontext(&m.contexts[MAX_THREADS], &m.contexts[current->number]);
#else
    labora_emulation_switch(&m.main_stack_pointer, current->stack_pointer);
#endif
}

u64 mixed(u64 x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

void shuffle_order(u32 count, u64 seed) {
    Machine& m = *machine;
    for (u32 i = 0; i < count; ++i) m.order[i] = i;
    for (u32 i = count - 1; i > 0; --i) {
        seed = mixed(seed);
        const u32 j = seed % (i + 1), swapped = m.order[i];
        m.order[i] = m.order[j];
        m.order[j] = swapped;
    }
    for (u32 i = 0; i < count; ++i) m.place[m.order[i]] = i;
}

void run_block(Index index) {
    Machine& m = *machine;
    Block& block = m.block;
    block.index = index;
    block.extension = nullptr;
    memset(block.shared, UNWRITTEN, block.shared_bytes);
    for (Meeting& meeting : block.warps) meeting.arrived = 0;
    for (Meeting& meeting : block.barriers) meeting.arrived = 0;
    for (u32 i = 0; i < block.count; ++i) {
        Thread& thread = m.threads[i];
        thread.thread = {i % block.threads.x, i / block.threads.x % block.threads.y, i / block.threads.x / block.threads.y};
        thread.number = i;
        thread.lane = i % 32;
        thread.warp = i / 32;
        thread.counter = nullptr;
        thread.ready = nullptr;
        thread.done = false;
        thread.pending_count = thread.group_count = thread.grouped = 0;
        prepare(i);
    }
    shuffle_order(block.count, index.x + 0x10000ull * index.y + 0x100000000ull * index.z);
    m.live = block.count;
    start_main();
}

Machine* new_machine() {
    void* memory = mmap(nullptr, sizeof(Machine), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    Machine* m = (Machine*)memory;
    void* stacks = mmap(nullptr, MAX_THREADS * (STACK + GUARD), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) {
        munmap(memory, sizeof(Machine));
        return nullptr;
    }
    m->stacks = (u8*)stacks;
    m->shared = (u8*)aligned_alloc(1024, SHARED);
    if (!m->shared) abort();
    for (u32 i = 0; i < MAX_THREADS; ++i) mprotect(m->stacks + i * (STACK + GUARD), GUARD, PROT_NONE);
    return m;
}

void free_machine(Machine* m) {
    free(m->shared);
    munmap(m->stacks, MAX_THREADS * (STACK + GUARD));
    munmap(m, sizeof(Machine));
}

}  // namespace

void fail(const char* format, ...) {
    Machine& m = *machine;
    if (!m.failed) {
        m.failed = true;
        const Index at = m.block.index;
        int used = snprintf(m.message, sizeof m.message, "block (%u, %u, %u), thread %u: ", at.x, at.y, at.z, current->number);
        va_list list;
        va_start(list, format);
        vsnprintf(m.message + used, sizeof m.message - used, format, list);
        va_end(list);
    }
    // The block's fibres are abandoned where they stand; nothing on their stacks needs an end.
    enter_main();
    abort();
}

void wait_for(bool (*ready)(void*), void* what) {
    if (ready(what)) return;
    current->ready = ready;
    current->what = what;
    yield();
}

void meet(Meeting& meeting, u32 expected, u32 slot, void* part, const void* kind, void (*act)(void**, u32)) {
    if (meeting.arrived == 0) {
        meeting.kind = kind;
    } else if (meeting.kind != kind) {
        fail("threads that should meet are at different instructions");
    }
    meeting.parts[slot] = part;
    if (++meeting.arrived > expected) fail("%u threads where %u were expected", meeting.arrived, expected);
    if (meeting.arrived == expected) {
        if (act) act(meeting.parts, expected);
        meeting.arrived = 0;
        ++meeting.round;
        return;
    }
    current->counter = &meeting.round;
    current->value = meeting.round;
    yield();
}

void meet_warp(void* part, const char* kind, void (*act)(void**, u32)) {
    const u32 first = current->warp * 32, rest = current_block->count - first;
    meet(current_block->warps[current->warp], rest < 32 ? rest : 32, current->lane, part, kind, act);
}

static const char BARRIER[] = "bar";

void barrier_sync(u32 barrier, u32 count) {
    if (barrier >= 16) fail("barrier %u; there are 16", barrier);
    meet(current_block->barriers[barrier], count, 0, nullptr, BARRIER + 0, nullptr);
}

void barrier_arrive(u32 barrier, u32 count) {
    if (barrier >= 16) fail("barrier %u; there are 16", barrier);
    Meeting& meeting = current_block->barriers[barrier];
    meeting.kind = BARRIER + 0;
    if (++meeting.arrived == count) {
        meeting.arrived = 0;
        ++meeting.round;
    }
}

u32 shared_address(const void* at) {
    const u8* byte = (const u8*)at;
    const Block& block = *current_block;
    if (byte < block.shared || byte > block.shared + block.shared_bytes) fail("not an address of shared memory");
    return (u32)(byte - block.shared) + SHARED_BASE;
}

u8* shared_at(u32 address, u32 bytes, u32 align) {
    const Block& block = *current_block;
    if (address % align != 0) fail("address %u of shared memory is no multiple of %u", address - SHARED_BASE, align);
    if (address < SHARED_BASE || (u64)address - SHARED_BASE + bytes > block.shared_bytes)
        fail("%u bytes at %lld of %u bytes of shared memory", bytes, (long long)address - SHARED_BASE, block.shared_bytes);
    return block.shared + (address - SHARED_BASE);
}

// Runs a grid. Returns null, or what went wrong, which stands until this OS thread's next launch.
const char* launch(void (*run)(void* const*), Index grid, Index threads, u32 shared_bytes, void* const* arguments) {
    static thread_local struct Owner {
        Machine* machine = new_machine();
        ~Owner() {
            if (machine) free_machine(machine);
        }
    } owner;
    machine = owner.machine;
    if (!machine) return "no memory for the stacks of a block";
    const u64 count = (u64)threads.x * threads.y * threads.z;
    if (count == 0 || count > MAX_THREADS) return "a block has 1 to 1,024 threads";
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return "an empty grid";
    if (shared_bytes > MAX_SHARED) return "more than 227 KB of shared memory";
    Machine& m = *machine;
    memset(m.shared + shared_bytes, UNWRITTEN, SHARED - shared_bytes);
    m.failed = false;
    m.run = run;
    m.arguments = arguments;
    m.block.threads = threads;
    m.block.grid = grid;
    m.block.count = (u32)count;
    m.block.shared = m.shared;
    m.block.shared_bytes = shared_bytes;
    current_block = &m.block;
    for (u32 z = 0; z < grid.z && !m.failed; ++z)
        for (u32 y = 0; y < grid.y && !m.failed; ++y)
            for (u32 x = 0; x < grid.x && !m.failed; ++x) run_block({x, y, z});
    current_block = nullptr;
    current = nullptr;
    for (u32 i = shared_bytes; i < SHARED && !m.failed; ++i) {
        if (m.shared[i] != UNWRITTEN) {
            m.failed = true;
            snprintf(m.message, sizeof m.message, "byte %u of %u bytes of shared memory was written", i, shared_bytes);
        }
    }
    return m.failed ? m.message : nullptr;
}

}  // namespace labora_emulation
