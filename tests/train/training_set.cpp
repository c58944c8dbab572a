// The training set as components see it, and when they are given it.
#include "train/training_set.hpp"

#include <algorithm>

#include "eval/memory_dataset.hpp"
#include "support/thread_comm.hpp"
#include "train/fitting.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string density = "[networks.student.heads.density]\nuse = \"test-density\"\n";

/// linear_map on images of 8 x 8 in memory, a batch of 3.
struct Set {
    TemporaryFolder folder;
    recipe::Recipe recipe;
    plan::Plan plan;
    std::shared_ptr<const data::Dataset> images;
    data::Labels labels;
    Context context;

    explicit Set(std::int64_t count = 13, const std::string& more = density, std::set<std::int64_t> broken = {},
                 std::vector<std::string> overrides = {})
        : recipe(
              recipe::load(folder.write("recipe.toml", linear_map + more), with_sizes(std::move(overrides)))),
          plan(plan::Plan::initial(recipe, with_parts())),
          images(std::make_shared<MemoryDataset>(
              MemoryDataset::Columns{{"path", std::vector<std::string>(static_cast<std::size_t>(count))}},
              std::move(broken))) {
        plan.train(true);
    }
    static std::vector<std::string> with_sizes(std::vector<std::string> overrides) {
        overrides.insert(overrides.end(), {"data.size=8", "train.batch=3"});
        return overrides;
    }
    Component& component(const std::string& name) const {
        for (const auto& [id, component] : plan.components())
            if (id == name) return *component;
        throw std::runtime_error("no component " + name);
    }
    train::PlanTrainingSet of(const std::string& name, const Comm& comm = Comm::local()) {
        auto now = context;
        now.comm = &comm;
        return {{recipe, plan, images, labels, now}, component(name)};
    }
    train::SetFor for_all() {
        return [this](const Component& component, const std::string&) -> std::unique_ptr<TrainingSet> {
            return std::make_unique<train::PlanTrainingSet>(
                train::WholeSet{recipe, plan, images, labels, context}, component);
        };
    }
};

/// All that each() gives, batch by batch.
struct Given {
    std::vector<at::Tensor> index, cls;
    explicit Given(const TrainingSet& set) {
        set.each([&](const Tensors& in, const at::Tensor& which) {
            index.push_back(which.clone());
            cls.push_back(in["cls"].clone());
        });
    }
};

std::string refusal(const std::function<void()>& act) {
    try {
        act();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("each image comes once, in the order of the index, as a network in evaluation sees it") {
    Set made;
    const auto set = made.of("student.heads.density");
    const Given given(set);
    CHECK(set.size() == 13);
    CHECK(set.left_out() == 0);
    REQUIRE(given.index.size() == 5);
    CHECK(at::equal(at::cat(given.index), at::arange(13)));
    CHECK(given.index.back().numel() == 1);
    for (std::size_t k = 0; k < given.index.size(); ++k) {
        const auto grey = (given.index[k].to(at::kFloat) / 100).view({-1, 1, 1, 1}).expand({-1, 1, 8, 8});
        Context evaluating;
        evaluating.training = false;
        const at::NoGradGuard no_grad;
        CHECK(at::allclose(given.cls[k], made.plan.features("student", grey, evaluating)["cls"], 1e-3, 1e-4));
    }
}

TEST_CASE("a pass over the set leaves modes, statistics and gradients as they were") {
    Set made;
    const auto before = made.component("student.backbone").named_buffers()["calls"].clone();
    made.of("student.heads.density").each([&](const Tensors& in, const at::Tensor&) {
        CHECK_FALSE(in["cls"].requires_grad());
        CHECK_FALSE(at::GradMode::is_enabled());
        CHECK_FALSE(made.component("student.backbone").is_training());
    });
    CHECK(made.component("student.backbone").is_training());
    CHECK(at::GradMode::is_enabled());
    CHECK(at::equal(made.component("student.backbone").named_buffers()["calls"], before));
    made.plan.train(false);
    const Given again(made.of("student.heads.density"));
    CHECK_FALSE(made.component("student.backbone").is_training());
}

TEST_CASE("what throws while the set is passed leaves the modes as they were") {
    Set made;
    CHECK_THROWS_WITH(made.of("student.heads.density").each([](const Tensors&, const at::Tensor&) {
        throw DataError("enough");
    }),
                      "enough");
    CHECK(made.component("student.backbone").is_training());
}

TEST_CASE("images that cannot be read are left out of the set, and too many are refused") {
    Set made(13, density, {0, 4, 5, 12}, {"data.max_bad=0.4"});
    const auto set = made.of("student.heads.density");
    const Given given(set);
    CHECK(set.left_out() == 4);
    CHECK(at::equal(at::cat(given.index), at::tensor({1, 2, 3, 6, 7, 8, 9, 10, 11}, at::kLong)));
    Set strict(13, density, {0, 4}, {"data.max_bad=0.1"});
    CHECK_THAT(refusal([&] { Given all(strict.of("student.heads.density")); }),
               Contains("found 2 unreadable images among 6 of 13, expected at most 10 % (data.max_bad)") &&
                   Contains("broken"));
}

TEST_CASE("several processes are given what one is, bit for bit") {
    for (const std::set<std::int64_t>& broken : {std::set<std::int64_t>{}, {2, 3, 4, 5, 12}}) {
        const std::vector<std::string> overrides = {"data.max_bad=0.5"};
        Set one(13, density, broken, overrides);
        const Given alone(one.of("student.heads.density"));
        for (const int ranks : {2, 3, 7}) {
            std::vector<std::unique_ptr<Set>> sets;
            for (int rank = 0; rank < ranks; ++rank)
                sets.push_back(std::make_unique<Set>(13, density, broken, overrides));
            std::vector<std::unique_ptr<Given>> given(static_cast<std::size_t>(ranks));
            std::vector<std::int64_t> left_out(static_cast<std::size_t>(ranks));
            run_ranks(ranks, [&](const Comm& comm) {
                const auto rank = static_cast<std::size_t>(comm.rank());
                const auto set = sets[rank]->of("student.heads.density", comm);
                given[rank] = std::make_unique<Given>(set);
                left_out[rank] = set.left_out();
            });
            for (std::size_t rank = 0; rank < given.size(); ++rank) {
                CHECK(left_out[rank] == std::ssize(broken));
                REQUIRE(given[rank]->index.size() == alone.index.size());
                for (std::size_t k = 0; k < alone.index.size(); ++k) {
                    CHECK(at::equal(given[rank]->index[k], alone.index[k]));
                    CHECK(at::equal(given[rank]->cls[k], alone.cls[k]));
                }
            }
        }
    }
}

TEST_CASE("too many images that cannot be read are refused on every process") {
    std::vector<std::unique_ptr<Set>> sets;
    for (int rank = 0; rank < 2; ++rank)  // all of them are in the batches of one process
        sets.push_back(std::make_unique<Set>(12, density, std::set<std::int64_t>{0, 1},
                                             std::vector<std::string>{"data.max_bad=0.1"}));
    std::vector<std::string> said(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto rank = static_cast<std::size_t>(comm.rank());
        said[rank] = refusal([&] { Given all(sets[rank]->of("student.heads.density", comm)); });
    });
    for (const auto& text : said) CHECK_THAT(text, Contains("found 2 unreadable images among 6 of 12"));
}

TEST_CASE("a fit that reads what augments make is refused with what to do") {
    const std::string dark =
        "[[augment]]\nuse = \"test-darker\"\n[[pass]]\nnetwork = \"student\"\nview = \"dark\"\n"
        "as = \"second\"\n";
    const auto reading = [&](const std::string& name) {
        return dark + "[[loss]]\nuse = \"test-mean-square\"\nname = \"of-dark\"\nreads = { cls = \"" + name +
               "\" }\n";
    };
    Set made(13, reading("second.cls"), {}, {"loss.test-mean-square.reads.cls=student.cls"});
    CHECK_THAT(refusal([&] { train::reads_for_fit(made.plan, made.component("loss.of-dark")); }),
               Contains("recipe.toml:") &&
                   Contains("loss.of-dark takes in the whole training set, where no augment runs") &&
                   Contains("'cls' reads 'second.cls', which is made from the view 'dark' of "
                            "augment.test-darker") &&
                   Contains("reads = { cls = \"PASS.cls\" }"));
    const auto good = train::reads_for_fit(made.plan, made.component("loss.test-mean-square"));
    CHECK(good.outputs == std::set<std::string>{"student.cls"});
    CHECK(good.sources == std::set<std::string>{"image"});
    CHECK_NOTHROW(train::check_fits(made.plan));  // nothing fits
}

TEST_CASE("of several passes a component is given the one that needs no augment") {
    Set made(13,
             density +
                 "[[augment]]\nuse = \"test-darker\"\n[[pass]]\nnetwork = \"student\"\nview = \"dark\"\n"
                 "as = \"a-dark\"\n[[loss]]\nuse = \"test-mean-square\"\nname = \"of-dark\"\n"
                 "reads = { cls = \"a-dark.cls\" }\n",
             {}, {"loss.test-mean-square.reads.cls=student.cls"});
    const auto found = train::reads_for_fit(made.plan, made.component("student.heads.density"));
    CHECK(found.node->pass == "student");
    CHECK_NOTHROW(train::check_fits(made.plan));
}

TEST_CASE("ports that only a fit reads are enough for it") {
    Set made(13,
             "[[augment]]\nuse = \"test-darker\"\n[[pass]]\nnetwork = \"student\"\nview = \"dark\"\n"
             "as = \"second\"\n[[loss]]\nuse = \"test-gathered\"\n"
             "reads = { cls = \"second.cls\", features = \"student.cls\" }\n",
             {}, {"loss.test-mean-square.reads.cls=student.cls"});
    const auto found = train::reads_for_fit(made.plan, made.component("loss.test-gathered"));
    CHECK(found.ports == decltype(found.ports){{"features", "student.cls"}});
}

TEST_CASE("components fit once, when they say so, and are told the same draws") {
    Set made(13, density +
                     "when = \"before\"\n[networks.student.heads.late]\nuse = \"test-density\"\n"
                     "writes = { score = \"late\" }\n");
    std::vector<std::string> said;
    const auto say = [&](const std::string& what) { said.push_back(what); };
    const auto buffer = [&](const std::string& component, const std::string& name) {
        return made.component(component).named_buffers()[name].item<double>();
    };
    CHECK(train::fit_components(made.plan, Fit::before, made.context, made.for_all(), say) ==
          std::vector<std::string>{"student.density"});
    CHECK(said == std::vector<std::string>{"fitting student.density"});
    CHECK(buffer("student.heads.density", "fits") == 1);
    CHECK(buffer("student.heads.late", "fits") == 0);
    static_cast<void>(at::rand({7}));  // what was drawn before does not count
    train::fit_components(made.plan, Fit::after, made.context, made.for_all());
    CHECK(buffer("student.heads.late", "fits") == 1);
    CHECK(buffer("student.heads.late", "drawn") == buffer("student.heads.density", "drawn"));
    const Given given(made.of("student.heads.density"));
    CHECK(at::allclose(made.component("student.heads.density").named_buffers()["mean"],
                       at::cat(given.cls).mean(0), 1e-4, 1e-5));
}

TEST_CASE("a fit that throws is named with its place") {
    Set made(13, density + "wrong = \"throws\"\n");
    CHECK_THAT(refusal([&] { train::fit_components(made.plan, Fit::after, made.context, made.for_all()); }),
               Contains("recipe.toml:") && Contains("student.density (plugin ") && Contains("): fit: ") &&
                   Contains("as it was told"));
}

TEST_CASE("at the start of an epoch components are given the set unless the epoch is resumed within") {
    Set made(13, density + "when = \"epoch\"\n");
    const auto fits = [&] {
        return made.component("student.heads.density").named_buffers()["fits"].item<std::int64_t>();
    };
    train::begin_epoch(made.plan, made.context, made.for_all());
    CHECK(fits() == 1);
    train::begin_epoch(made.plan, made.context);
    CHECK(fits() == 1);
}
