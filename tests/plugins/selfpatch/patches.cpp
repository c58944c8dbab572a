// Distillation of patches against loops, its centre, and what SelfPatch asks of DINO's parts.
#include <catch2/catch.hpp>
#include <cmath>

#include "support/gradients.hpp"
#include "support/plugins.hpp"
#include "support/thread_comm.hpp"

namespace selfpatch_patches {

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

constexpr std::int64_t prototypes = 5, batch = 4;

std::shared_ptr<Loss> loss(const Changes& changes = {}) {
    Symbols symbols;
    symbols.bind("K", prototypes);
    auto made = make<Loss>("patch-distillation", changes, symbols);
    made->to(at::kDouble);
    return made;
}

Tensor logits(std::int64_t views, std::int64_t patches, std::uint64_t seed) {
    at::manual_seed(seed);
    return at::randn({views, batch, patches, prototypes}, at::kDouble) * 0.3;
}

Tensors both() {
    return {{"teacher_logits", logits(2, 6, 1)},
            {"student_logits", logits(2, 6, 2)},
            {"local_teacher_logits", logits(3, 2, 3)},
            {"local_student_logits", logits(3, 2, 4)}};
}

/// Patch by patch; `weights` [views, batch, patches] or undefined.
double naive(const Tensor& teacher, const Tensor& student, const Tensor& center, const Tensor& weights = {}) {
    double sum = 0;
    for (std::int64_t v = 0; v < teacher.size(0); ++v)
        for (std::int64_t b = 0; b < batch; ++b) {
            double view = 0, total = 0;
            for (std::int64_t l = 0; l < teacher.size(2); ++l) {
                const auto p = ((teacher[v][b][l] - center) / 0.04).softmax(-1);
                const double w = weights.defined() ? weights[v][b][l].item<double>() : 1;
                view -= w * (p * (student[v][b][l] / 0.1).log_softmax(-1)).sum().item<double>();
                total += w;
            }
            sum += view / std::max(1.0, total);
        }
    return sum / static_cast<double>(batch);
}

Tensor center(Loss& of) {
    return of.named_buffers()["center"];
}

double distance(const Tensor& a, const Tensor& b) {
    return (a - b).abs().max().item<double>();
}

}  // namespace

TEST_CASE("the loss is the mean over views, large and small, images and patches") {
    const auto in = both();
    const auto made = loss();
    const auto start = at::linspace(-0.1, 0.2, prototypes, at::kDouble).unsqueeze(0);
    center(*made).copy_(start);
    const auto out = made->forward(in, {});
    const auto expected = (naive(in["teacher_logits"], in["student_logits"], start[0]) +
                           naive(in["local_teacher_logits"], in["local_student_logits"], start[0])) /
                          5;
    CHECK(out.total.item<double>() == Approx(expected).epsilon(1e-12));
    CHECK(out.per_sample.mean().item<double>() == Approx(expected).epsilon(1e-12));
}

TEST_CASE("of a view with hidden patches those alone count, and one without costs nothing") {
    const Tensors in{{"teacher_logits", logits(2, 6, 1)}, {"student_logits", logits(2, 6, 2)}};
    auto with = in;
    auto hidden = at::zeros({2, batch, 6});
    hidden[0][0].slice(0, 1, 4).fill_(1);
    hidden[1][2][5] = 1;
    with.set("hidden", hidden);
    const auto zero = at::zeros({prototypes}, at::kDouble);
    const auto out = loss()->forward(with, {});
    CHECK(out.total.item<double>() ==
          Approx(naive(in["teacher_logits"], in["student_logits"], zero, hidden) / 2).epsilon(1e-12));
    CHECK(out.per_sample[1].item<double>() == 0);
    with.set("hidden", at::zeros({2, batch, 6}));
    CHECK(loss()->forward(with, {}).total.item<double>() == 0);
}

TEST_CASE("equal logits cost ln K") {
    const auto same = at::zeros({2, batch, 6, prototypes}, at::kDouble);
    const auto out = loss()->forward({{"teacher_logits", same}, {"student_logits", same}}, {});
    CHECK(out.total.item<double>() == Approx(std::log(static_cast<double>(prototypes))));
}

TEST_CASE("the gradient is that of central differences, and reaches the student alone") {
    const auto in = both();
    const auto made = loss({{"centre_momentum", 1.0}});
    for (const char* name : {"student_logits", "local_student_logits"}) {
        INFO(name);
        const auto total = [&](const Tensor& x) {
            auto with = in;
            with.set(name, x);
            return made->forward(with, {}).total;
        };
        CHECK(gradient_error(total, in[name]) < 1e-7);
    }
    auto with = in;
    for (const char* name : {"teacher_logits", "local_teacher_logits", "student_logits"})
        with.set(name, in[name].clone().requires_grad_());
    made->forward(with, {}).total.backward();
    CHECK(with["student_logits"].grad().defined());
    CHECK_FALSE(with["teacher_logits"].grad().defined());
    CHECK_FALSE(with["local_teacher_logits"].grad().defined());
}

TEST_CASE("the centre moves after a step, by the mean over all patches of all views") {
    const auto made = loss();
    const auto in = both();
    made->before_step({});
    made->forward(in, {});
    CHECK(center(*made).abs().max().item<double>() == 0);
    made->forward(in, {});  // the second batch of the step
    made->after_step({});
    const auto rows = at::cat({in["teacher_logits"].flatten(0, 2), in["local_teacher_logits"].flatten(0, 2)});
    CHECK(distance(center(*made)[0], rows.mean(0) * 0.1) < 1e-12);
    Context other;
    other.learns = false;
    const auto before = center(*made).clone();
    made->forward(in, other);
    CHECK(at::equal(center(*made), before));
}

TEST_CASE("small views with one network's logits alone are refused") {
    auto in = both();
    Tensors half{{"teacher_logits", in["teacher_logits"]},
                 {"student_logits", in["student_logits"]},
                 {"local_student_logits", in["local_student_logits"]}};
    CHECK_THROWS_WITH(loss()->forward(half, {}),
                      Catch::Matchers::Contains("found one of local_teacher_logits and local_student_logits"));
}

TEST_CASE("two processes have the loss and the centre of one") {
    const auto in = both();
    const auto step = [&](const Comm& comm, std::int64_t from, std::int64_t count) {
        Tensors part;
        for (const auto& [name, value] : in) part.set(name, value.narrow(1, from, count));
        const auto made = loss();
        Context context;
        context.comm = &comm;
        made->before_step(context);
        const auto total = made->forward(part, context).total.item<double>();
        made->after_step(context);
        return std::pair(total, center(*made).clone());
    };
    const auto [expected, moved] = step(Comm::local(), 0, batch);
    std::vector<double> losses(2);
    std::vector<Tensor> centers(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto [total, found] = step(comm, 2 * comm.rank(), 2);
        losses[comm.rank()] = total, centers[comm.rank()] = found;
    });
    CHECK((losses[0] + losses[1]) / 2 == Approx(expected).epsilon(1e-12));
    for (const auto& found : centers) CHECK(distance(found, moved) < 1e-12);
}

TEST_CASE("the teacher's logits of small crops move DINO's centre and nothing else") {
    Symbols symbols;
    symbols.bind("G", 2);
    symbols.bind("V", 3);
    symbols.bind("K", prototypes);
    const auto of = [&](bool more) {
        auto made = make<Loss>("dino", {}, symbols);
        made->to(at::kDouble);
        Tensors in{{"teacher_logits", logits(2, 1, 1).squeeze(2)},
                   {"student_logits", logits(2, 1, 2).squeeze(2)},
                   {"local_logits", logits(3, 1, 3).squeeze(2)}};
        if (more) in.set("local_teacher_logits", logits(3, 1, 4).squeeze(2));
        const auto total = made->forward(in, {}).total.item<double>();
        return std::pair(total, made->named_buffers()["center"].clone());
    };
    const auto [with, both_views] = of(true);
    const auto [without, large_views] = of(false);
    CHECK(with == without);
    const auto rows = at::cat({logits(2, 1, 1).flatten(0, 2), logits(3, 1, 4).flatten(0, 2)});
    CHECK(distance(both_views[0], rows.mean(0) * 0.1) < 1e-12);
    CHECK(distance(large_views[0], logits(2, 1, 1).flatten(0, 2).mean(0) * 0.1) < 1e-12);
}

TEST_CASE("one head gives a class token and patches the same answer") {
    Symbols symbols;
    symbols.bind("D", 7);
    const Changes sizes{{"out", std::int64_t{5}}, {"hidden", std::int64_t{6}}, {"bottleneck", std::int64_t{4}}};
    auto changes = sizes;
    changes.emplace_back("over", std::string("both"));
    const auto head = make<Head>("dino-head", changes, symbols);
    head->to(at::kDouble);
    at::manual_seed(3);
    const auto x = at::randn({3, 4, 7}, at::kDouble);
    const auto out = head->forward({{"cls", x.select(1, 2)}, {"patches", x}}, {});
    CHECK(out["patch_logits"].sizes() == at::IntArrayRef({3, 4, 5}));
    CHECK(distance(out["patch_logits"].select(1, 2), out["logits"]) < 1e-12);
    changes.back().second = std::string("patches");
    const auto& type = registry().find(Kind::head, "dino-head");
    CHECK(type.reads(options(type, changes)).size() == 1);
    CHECK(type.reads(options(type, changes))[0].name == "patches");
}

}  // namespace selfpatch_patches
