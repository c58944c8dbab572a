// Views in groups of one size, what a pass reads by another name, and labels.
#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// Two crops of 32 pixels and three of 16 of each image; a student sees all, a follower the large ones.
const std::string grouped = R"(schema = 1
[data]
source = "phantom"
size = 48
[[augment]]
use = "multi-crop"
global_size = 32
local_crops = 3
local_size = 16
[networks.student]
backbone = { use = "vit", patch = 8, dim = 24, depth = 1, heads = 2 }
[networks.student.heads]
project = { use = "dino-head", out = 10, hidden = 16, bottleneck = 8 }
[networks.teacher]
follows = "student"
[[pass]]
network = "student"
view = "global"
[[pass]]
network = "student"
view = "local"
as = "student_local"
[[pass]]
network = "teacher"
view = "global"
[[loss]]
use = "dino"
reads = { teacher_logits = "teacher.logits", student_logits = "student.logits", local_logits = "student_local.logits" }
)";

/// Random images as the loader would deliver them: [G, B, C, H, W].
Tensors grouped_batch() {
    at::manual_seed(3);
    return {{"global", at::rand({2, 4, 1, 32, 32})}, {"local", at::rand({3, 4, 1, 16, 16})}};
}

}  // namespace

TEST_CASE("a pass over a group of views keeps the group axis in what it writes") {
    const auto plan = planned(grouped);
    CHECK(wire(node(plan, "student.backbone"), "image") == "global: 2 B 1 32 32");
    CHECK(wire(node(plan, "student.backbone"), "tokens") == "student.tokens: 2 B 16 24");
    CHECK(wire(node(plan, "student_local.backbone"), "tokens") == "student_local.tokens: 3 B 4 24");
    CHECK(wire(node(plan, "student.project"), "logits") == "student.logits: 2 B 10");
    CHECK(plan.batch_axes() == std::map<std::string, std::int64_t>{{"global", 1}, {"local", 1}});
}

TEST_CASE("a group goes through a network as its images one by one would") {
    const auto plan = planned(grouped);
    plan::Plan& eager = const_cast<plan::Plan&>(plan);
    eager.train(false);
    const auto batch = grouped_batch();
    const auto out = plan.step(batch, {});
    REQUIRE(out.tensors["student.logits"].sizes().vec() == std::vector<std::int64_t>{2, 4, 10});
    REQUIRE(out.tensors["student_local.cls"].sizes().vec() == std::vector<std::int64_t>{3, 4, 24});
    for (std::int64_t crop = 0; crop < 3; ++crop) {
        const auto alone = plan.features("student", batch["local"][crop], {});
        CHECK(at::allclose(alone["cls"], out.tensors["student_local.cls"][crop], 1e-5, 1e-6));
    }
}

TEST_CASE("a component that reads a group and single images is refused with both shapes") {
    auto text = replaced(
        grouped, "project = {",
        "restore = { use = \"restoration-decoder\", depth = 1, width = 32, heads = 2, reads = { mask = "
        "\"image\" } }\nproject = {");
    text +=
        "[[loss]]\nuse = \"restoration\"\npatch = 8\nreads = { restored = \"student.restored\", normal = "
        "\"image\", "
        "mask = \"image\" }\n";
    CHECK_THAT(refusal(text),
               Contains("student.restore reads 'student.tokens' as '2 B 16 24' and 'image' as 'B 1 48 48'"));
}

TEST_CASE("within a pass, `image` is the pass's view") {
    const auto plan = planned(restoring);
    CHECK(wire(node(plan, "student.restore"), "image") == "abnormal: B 1 32 32");
}

TEST_CASE("`reads` of a pass disconnects an optional port of its components") {
    const auto plan = planned(R"(schema = 1
[data]
source = "phantom"
size = 32
label = "abnormal"
[[augment]]
use = "random-patch-mask"
patch = 8
[networks.student]
backbone = { use = "vit", patch = 8, dim = 24, depth = 1, heads = 2 }
[networks.student.heads]
decode = { use = "mae-decoder", depth = 1, width = 16, heads = 2 }
classify = { use = "linear", out = 2 }
[[pass]]
network = "student"
view = "image"
heads = ["decode"]
[[pass]]
network = "student"
view = "image"
as = "whole"
heads = ["classify"]
reads = { keep = "" }
[[loss]]
use = "masked-reconstruction"
[[loss]]
use = "cross-entropy"
)");
    CHECK(wire(node(plan, "student.backbone"), "tokens") == "student.tokens: B 4 24");
    CHECK(wire(node(plan, "whole.backbone"), "keep") == ": B N");
    CHECK(wire(node(plan, "whole.backbone"), "tokens") == "whole.tokens: B 16 24");
}

TEST_CASE("`reads` of a pass is checked") {
    const auto with = [](const std::string& reads) {
        return replaced(restoring, "view = \"abnormal\"", "view = \"abnormal\"\nreads = { " + reads + " }");
    };
    CHECK_THAT(refusal(with("tokenz = \"x\"")),
               Contains("names port 'tokenz'") && Contains("did you mean 'tokens'?"));
    CHECK_THAT(refusal(with("mask = \"\"")), Contains("leaves a port unconnected that it cannot do without"));
    CHECK_THAT(refusal(with("mask = \"masks\"")), Contains("did you mean 'mask'?"));
}

TEST_CASE("labels are there when the recipe names their column") {
    const std::string supervised = R"(schema = 1
[data]
source = "phantom"
size = 32
label = "abnormal"
[networks.student]
backbone = { use = "vit", patch = 8, dim = 24, depth = 1, heads = 2 }
[networks.student.heads]
classify = { use = "linear", out = 2 }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "cross-entropy"
)";
    const auto plan = planned(supervised);
    CHECK(plan.delivered() == std::set<std::string>{"image", "label"});
    CHECK_THAT(refusal(replaced(supervised, "label = \"abnormal\"\n", "")), Contains("reads 'label'"));
}
