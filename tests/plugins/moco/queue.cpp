// What MoCo v2 asks of info-nce and its queue; tests/plugins/pcl/info_nce.cpp has the rest.
#include <catch2/catch.hpp>

#include "plugins/pcl/cases.hpp"

namespace moco_queue {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Loss> with_queue(std::int64_t keys, std::int64_t width) {
    return loss_of("info-nce", {{"queue", keys}}, width);
}

double total(Loss& loss, const at::Tensor& query, const at::Tensor& key) {
    return loss.forward({{"query", query}, {"key", key}}, {}).total.item<double>();
}

}  // namespace

TEST_CASE("a key equal to the query among two orthogonal ones costs 0.0133859 at temperature 0.2") {
    const auto loss = with_queue(2, 3);
    const auto axes = at::eye(3, at::kDouble);
    buffer(*loss, "queue").copy_(axes.slice(0, 1));
    CHECK(total(*loss, axes.slice(0, 0, 1), axes.slice(0, 0, 1)) == Approx(0.0133859).epsilon(1e-5));
}

TEST_CASE("the order of the queue says nothing, what is in it does") {
    const auto loss = with_queue(7, 4);
    const auto query = directions(3, 4, 1), key = directions(3, 4, 2);
    const auto before = total(*loss, query, key);
    auto queue = buffer(*loss, "queue");
    queue.copy_(queue.flip(0));
    CHECK(total(*loss, query, key) == Approx(before).epsilon(1e-12));
    queue[0].neg_();
    CHECK(std::abs(total(*loss, query, key) - before) > 1e-6);
}

TEST_CASE("after K / B steps the queue holds the last K keys, each in its place") {
    const auto loss = with_queue(12, 4);
    const auto keys = directions(24, 4, 3);
    for (std::int64_t step = 0; step < 6; ++step) {
        const auto batch = keys.narrow(0, 4 * step, 4);
        loss->before_step({});
        total(*loss, batch, batch);
        loss->after_step({});
        if (step % 3 == 2) CHECK(distance(buffer(*loss, "queue"), keys.narrow(0, 4 * (step - 2), 12)) < 1e-12);
    }
}

}  // namespace moco_queue
