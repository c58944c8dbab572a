// The queue of earlier embeddings: when it takes part, who enters it and when, checkpoints, ranks.
#include <catch2/catch.hpp>

#include "cases.hpp"

namespace swav_queue {

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr std::int64_t prototypes = 4, width = 6;

/// Embeddings [2, batch, D], prototypes [K, D] and their scores.
Tensors views(std::int64_t batch, std::uint64_t seed) {
    const auto z = directions({2, batch, width}, seed), c = directions({prototypes, width}, 99);
    return {{"scores", at::matmul(z, c.t())}, {"embedding", z}, {"prototypes", c}};
}

std::shared_ptr<Loss> with_queue(std::int64_t rows, std::int64_t from = 0) {
    return swapped(2, 0, prototypes, width, {{"queue", rows}, {"queue_epoch", from}});
}

at::Tensor queue(Loss& loss) {
    return loss.named_buffers()["queue"];
}

double update(Loss& loss, const std::vector<Tensors>& batches, const Context& context = {}) {
    double total = 0;
    loss.before_step(context);
    for (const auto& batch : batches) total = loss.forward(batch, context).total.item<double>();
    loss.after_step(context);
    return total;
}

/// The loss of a batch whose codes are found among `earlier` [2, R, D].
double naive(const Tensors& batch, const at::Tensor& earlier) {
    double sum = 0;
    for (int a = 0; a < 2; ++a) {
        const auto rows = at::cat({at::matmul(earlier[a], batch["prototypes"].t()), batch["scores"][a]});
        const auto code = naive_codes(rows).slice(0, earlier.size(1));
        sum -= (code * (batch["scores"][1 - a] / 0.1).log_softmax(-1)).sum(-1).mean().item<double>() / 2;
    }
    return sum;
}

}  // namespace

TEST_CASE("a full queue takes part in the assignment, scored by the prototypes of now") {
    const auto loss = with_queue(6);
    const auto without = swapped(2, 0, prototypes, width);
    const auto first = views(3, 1), second = views(3, 2), third = views(3, 3);
    for (const auto& batch : {first, second})  // it is not full before the third
        CHECK(update(*loss, {batch}) == without->forward(batch, {}).total.item<double>());
    const auto earlier = at::cat({first["embedding"], second["embedding"]}, 1);
    CHECK(distance(queue(*loss), earlier) < 1e-12);
    auto moved = third;
    moved.set("prototypes", directions({prototypes, width}, 98));
    moved.set("scores", at::matmul(third["embedding"], moved["prototypes"].t()));
    CHECK(update(*loss, {moved}) == Approx(naive(moved, earlier)).epsilon(1e-12));
    CHECK(distance(queue(*loss), at::cat({third["embedding"], second["embedding"]}, 1)) < 1e-12);
}

TEST_CASE("images enter after an update that was made, from the first epoch that is asked for") {
    const auto loss = with_queue(4, 2);
    Context context;
    context.progress = {.step = 3, .total_steps = 10, .steps_per_epoch = 2};  // epoch 1
    update(*loss, {views(2, 1)}, context);
    CHECK(queue(*loss).abs().max().item<double>() == 0);
    context.progress.step = 4;
    loss->forward(views(2, 1), context);  // outside an update
    loss->before_step(context);
    loss->forward(views(2, 1), context);
    loss->before_step(context);  // that update was left out: it was not finite
    loss->after_step(context);
    auto other = context;  // another phase's update, or an evaluation
    other.learns = false;
    update(*loss, {views(2, 1)}, other);
    CHECK(queue(*loss).abs().max().item<double>() == 0);
    update(*loss, {views(2, 1)}, context);
    CHECK(distance(queue(*loss).slice(1, 0, 2), views(2, 1)["embedding"]) < 1e-12);
    CHECK(loss->named_buffers()["stored"].item<std::int64_t>() == 2);
}

TEST_CASE("the oldest images are replaced, whatever the batch, and an update enters once") {
    const auto loss = with_queue(5);
    const auto all = views(12, 3);
    const auto part = [&](std::int64_t from, std::int64_t to) {
        auto batch = all;
        batch.set("scores", all["scores"].slice(1, from, to));
        batch.set("embedding", all["embedding"].slice(1, from, to));
        return batch;
    };
    const auto z = all["embedding"];
    update(*loss, {part(0, 2), part(2, 4)});  // two batches
    update(*loss, {part(4, 6)});
    CHECK(distance(queue(*loss), at::cat({z.slice(1, 5, 6), z.slice(1, 1, 5)}, 1)) < 1e-12);
    update(*loss, {part(4, 12)});  // eight: the last five
    CHECK(distance(queue(*loss).sum(1), z.slice(1, 7).sum(1)) < 1e-12);
}

TEST_CASE("a loss with a checkpoint's buffers goes on as the one that wrote it") {
    const auto loss = with_queue(4), resumed = with_queue(4);
    update(*loss, {views(2, 1)});
    update(*loss, {views(2, 2)});
    for (auto& item : resumed->named_buffers()) item.value().copy_(loss->named_buffers()[item.key()]);
    resumed->on_epoch_begin({});
    CHECK(update(*resumed, {views(2, 3)}) == update(*loss, {views(2, 3)}));
    CHECK(at::equal(queue(*resumed), queue(*loss)));
}

TEST_CASE("without a queue the loss has no buffers and asks for no embeddings") {
    CHECK(swapped(2, 0, prototypes, width)->buffers().empty());
    const auto& type = registry().find(Kind::loss, "swapped-prediction");
    CHECK(type.reads(options(type)).size() == 2);
    CHECK(type.reads(options(type, {{"queue", std::int64_t{4}}})).size() == 4);
}

TEST_CASE("two processes share the queue: the losses and the queue of one") {
    const auto whole = views(4, 1), next = views(4, 2), last = views(4, 3);
    const auto run = [&](const Comm& comm, std::int64_t from, std::int64_t count) {
        const auto loss = with_queue(7);
        Context context;
        context.comm = &comm;
        double total = 0;
        for (auto batch : {whole, next, last}) {
            for (const char* name : {"scores", "embedding"})
                batch.set(name, batch[name].narrow(1, from, count));
            total = update(*loss, {batch}, context);
        }
        return std::pair(total, queue(*loss).clone());
    };
    const auto [expected, kept] = run(Comm::local(), 0, 4);
    std::vector<double> losses(2);
    std::vector<at::Tensor> queues(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto [loss, found] = run(comm, 2 * comm.rank(), 2);
        losses[comm.rank()] = loss, queues[comm.rank()] = found;
    });
    CHECK((losses[0] + losses[1]) / 2 == Approx(expected).epsilon(1e-12));
    for (const auto& found : queues) CHECK(distance(found, kept) < 1e-12);
}

}  // namespace swav_queue
