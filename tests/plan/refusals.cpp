// What a plan refuses before any data is opened, and what it says.
#include <algorithm>

#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// A complaint about the line of `restoring` that `from` replaces: "a.toml:LINE:".
std::string line_of(const std::string& text, const std::string& part) {
    const auto at = text.find(part);
    REQUIRE(at != std::string::npos);
    return "a.toml:" +
           std::to_string(1 + std::count(text.begin(), text.begin() + static_cast<long>(at), '\n')) + ":";
}

std::string restoring_with(const std::string& from, const std::string& to) {
    return replaced(restoring, from, to);
}

const std::string second_network = R"([networks.other]
backbone = { use = "vit", size = "tiny", patch = 8, depth = 1 }
)";
const std::string second_network_passes = "[[pass]]\nnetwork = \"other\"\nview = \"normal\"\n";

/// A critic of images that knows their labels.
const std::string critic = R"(schema = 1
[data]
source = "phantom"
size = 32
label = "label"
[networks.critic]
backbone = { use = "wgan-critic", width = 8 }
[[pass]]
network = "critic"
view = "image"
[[loss]]
use = "adversarial"
side = "real"
)";

/// A critic and a maker of images, in two phases. The last table is the maker's loss.
const std::string game = R"(schema = 1
[data]
source = "phantom"
size = 32
[networks.critic]
backbone = { use = "wgan-critic", width = 8 }
[networks.maker.heads]
make = { use = "wgan-generator", size = 32, width = 8 }
[[head]]
use = "noise"
name = "z"
size = 16
[[pass]]
network = "maker"
as = "made"
reads = { latent = "z.noise" }
[[pass]]
network = "critic"
view = "made.picture"
as = "fake"
[[phase]]
name = "critic"
trains = ["critic"]
[[phase]]
name = "maker"
trains = ["maker"]
[[loss]]
use = "adversarial"
name = "low"
phase = "critic"
side = "fake"
reads = { score = "fake.score" }
[[loss]]
use = "adversarial"
name = "high"
phase = "maker"
side = "real"
)";

}  // namespace

TEST_CASE("a plugin that is not there is refused with the nearest one and its place") {
    const auto text = restoring_with("\"restoration\"", "\"restoratoin\"");
    CHECK_THAT(refusal(text), Contains("there is no loss 'restoratoin' (did you mean 'restoration'?)") &&
                                  Contains(line_of(text, "[[loss]]") + "1: "));
}

TEST_CASE("a plugin of another kind is named as such") {
    CHECK_THAT(refusal(restoring_with("\"slm\"", "\"vit\"")),
               Contains("there is no augment 'vit'") && Contains("there is a backbone of that name"));
}

TEST_CASE("an option that is not there is refused with the nearest one and its place") {
    const auto text =
        restoring_with("depth = 1 }\n[networks.student.heads]", "depht = 1 }\n[networks.student.heads]");
    CHECK_THAT(refusal(text),
               Contains(line_of(text, "depht")) && Contains("depht") && Contains("did you mean 'depth'?"));
}

TEST_CASE("an option out of its range is refused with the range") {
    const auto text = restoring_with("patch = 8, depth", "patch = 65, depth");
    CHECK_THAT(refusal(text), Contains(line_of(text, "patch = 65")) && Contains("patch: found 65") &&
                                  Contains("expected between 1 and 64"));
}

TEST_CASE("a port that nothing is written to is refused with the nearest name") {
    CHECK_THAT(refusal(restoring_with("use = \"restoration\"\n",
                                      "use = \"restoration\"\nreads = { restored = \"student.restord\" }\n")),
               Contains("loss.restoration reads 'student.restord'") &&
                   Contains("which nothing writes (did you mean 'student.restored'?); there are: "));
}

TEST_CASE("a port whose writer was never added is refused with what there is") {
    CHECK_THAT(refusal(restoring_with("use = \"restoration\"\npatch = 8", "use = \"structure-contrast\"")),
               Contains("loss.structure-contrast reads 'logits'") && Contains("which nothing writes") &&
                   Contains("student.tokens"));
}

TEST_CASE("a pass on a view that is not there is refused with the nearest name") {
    const auto text = restoring_with("\"abnormal\"", "\"abnormla\"");
    CHECK_THAT(refusal(text), Contains("pass 'student' runs on view 'abnormla', which nothing writes (did you "
                                       "mean 'abnormal'?)") &&
                                  Contains(line_of(text, "[[pass]]")));
}

TEST_CASE("`reads` of a port that the component lacks is refused with its ports") {
    CHECK_THAT(refusal(restoring_with("use = \"restoration\"\n",
                                      "use = \"restoration\"\nreads = { restord = \"student.restored\" }\n")),
               Contains("loss.restoration: reads names port 'restord', expected one of: restored, normal, "
                        "mask, restored.mean, restored.std (did you mean 'restored'?)"));
}

TEST_CASE("`writes` of a port that the component lacks is refused with its ports") {
    CHECK_THAT(refusal(restoring_with("use = \"slm\"", "use = \"slm\"\nwrites = { abnorml = \"x\" }")),
               Contains("augment.slm: writes names port 'abnorml'") && Contains("did you mean 'abnormal'?"));
}

TEST_CASE("a name that fits two passes is refused with both") {
    CHECK_THAT(refusal(restoring + "[[pass]]\nnetwork = \"student\"\nview = \"normal\"\nas = \"again\"\n"),
               Contains("loss.restoration reads 'restored', which is ambiguous: found again.restored, "
                        "student.restored; say which with reads = { restored = "));
}

TEST_CASE("a name written twice is refused with both writers") {
    CHECK_THAT(refusal(restoring + "[[augment]]\nuse = \"slm\"\nname = \"more\"\n"),
               Contains("'mask' is written twice, by augment.slm and by augment.more") &&
                   Contains("writes = { mask = \"...\" }"));
}

TEST_CASE("a name that the data provides is not overwritten") {
    CHECK_THAT(refusal(restoring_with("use = \"slm\"", "use = \"slm\"\nwrites = { normal = \"image\" }")),
               Contains("augment.slm writes 'image', which the data already provides"));
}

TEST_CASE("a view nobody reads is refused") {
    const auto text = restoring +
                      "[[augment]]\nuse = \"slm\"\nname = \"more\"\nwrites = { normal = \"n\", abnormal = "
                      "\"a\", mask = \"m\" }\n";
    const auto message = refusal(text);
    CHECK_THAT(message, Contains("nobody reads the view 'a' that augment.more writes") &&
                            Contains("nobody reads the view 'n'"));
    CHECK_THAT(message, !Contains("view 'm'"));  // optional: a mask may go unread
    CHECK_THAT(message, !Contains("augment.slm"));
}

TEST_CASE("a view that only an idle pass reads counts as unread") {
    const auto text = restoring +
                      "[[augment]]\nuse = \"slm\"\nname = \"more\"\nwrites = { normal = \"n\", abnormal = "
                      "\"a\", mask = \"m\" }\n[[pass]]\nnetwork = \"student\"\nview = \"a\"\nas = "
                      "\"idle\"\nheads = []\n";
    CHECK_THAT(refusal(text), Contains("nobody reads the view 'a' that augment.more writes"));
}

TEST_CASE("a trained network that no loss reaches is refused") {
    const auto text = restoring + second_network + second_network_passes;
    CHECK_THAT(refusal(text),
               Contains("no loss reaches network 'other'") && Contains(line_of(text, "[networks.other]")));
    CHECK_NOTHROW(planned(replaced(text, "[networks.other]", "[networks.other]\nfrozen = true")));
}

TEST_CASE("a network that a loss sees only through a port without gradient is not trained by it") {
    const auto text = restoring + second_network + R"([networks.judge]
frozen = true
[networks.judge.heads]
project = { use = "position-projector", out = 8, reads = { tokens = "other.tokens" } }
prototypes = { use = "prototype-bank" }
[[pass]]
network = "other"
view = "normal"
[[pass]]
network = "judge"
view = "normal"
[[loss]]
use = "structure-contrast"
reads = { logits = "student.logits", prototypes = "judge.prototypes" }
)";
    CHECK_THAT(
        refusal(replaced(text, "[[pass]]", "project = { use = \"position-projector\", out = 8 }\n[[pass]]")),
        Contains("no loss reaches network 'other'") && !Contains("no loss reaches network 'student'"));
}

TEST_CASE("a gradient goes through a frozen network to what it reads, and not through a follower") {
    const auto text = restoring + R"([networks.judge]
frozen = true
[networks.judge.heads]
project = { use = "position-projector", out = 8, reads = { tokens = "student.tokens" } }
[[pass]]
network = "judge"
[[loss]]
use = "structure-contrast"
reads = { logits = "judge.logits", prototypes = "student.prototypes" }
)";
    const auto plan = planned(replaced(text, "[[pass]]", R"(project = { use = "position-projector", out = 8 }
prototypes = { use = "prototype-bank", reads = { logits = "student.logits" } }
[[pass]])"));
    const auto& judge = plan.phases().front().uses;
    for (std::size_t i = 0; i < plan.nodes().size(); ++i)
        if (plan.nodes()[i].id == "judge.project") {
            CHECK(judge[i].carries);
            CHECK_FALSE(judge[i].updates);
        }
    for (const auto& [name, parameter] : plan.trained_parameters()) CHECK(name.starts_with("student."));
}

TEST_CASE("a network in no pass is refused") {
    CHECK_THAT(refusal(restoring + second_network), Contains("network 'other' is in no [[pass]]"));
}

TEST_CASE("a loss that trains nothing is refused") {
    SECTION("because its network is frozen") {
        CHECK_THAT(refusal(restoring_with("[networks.student]", "[networks.student]\nfrozen = true")),
                   Contains("loss.restoration reads nothing that a trained network writes"));
    }
    SECTION("because it compares two views") {
        const auto message = refusal(restoring +
                                     "[[loss]]\nuse = \"restoration\"\nname = \"idle\"\npatch = 8\n"
                                     "reads = { restored = \"abnormal\" }\n");
        CHECK_THAT(message, Contains("loss.idle reads nothing that a trained network writes") &&
                                !Contains("loss.restoration"));
    }
}

TEST_CASE("patterns that freeze every parameter are refused with network and key") {
    const auto text = restoring_with("[networks.student]", "[networks.student]\nfrozen = [\"*\"]");
    CHECK_THAT(refusal(text), Contains(line_of(text, "[networks.student]")) &&
                                  Contains("networks.student.frozen: * names every parameter of 'student'") &&
                                  Contains("nothing is left to train"));
    const auto parts =
        restoring_with("[networks.student]", "[networks.student]\nfrozen = [\"*.backbone.*\", \"heads\"]");
    CHECK_THAT(refusal(parts), Contains("networks.student.frozen: *.backbone.*, heads together name every"));
    CHECK_NOTHROW(planned(restoring_with("[networks.student]", "[networks.student]\nfrozen = [\"backbone\"]")));
}

TEST_CASE("a recipe without a loss is refused") {
    CHECK_THAT(refusal(restoring_with("[[loss]]\nuse = \"restoration\"\npatch = 8\n", "")),
               Contains("found no [[loss]], expected at least one"));
}

TEST_CASE("passes that wait for each other are refused") {
    const auto text = replaced(restoring, "\"abnormal\"", "\"again.restored\"") +
                      "reads = { restored = \"student.restored\" }\n"
                      "[[pass]]\nnetwork = \"student\"\nview = \"student.restored\"\nas = \"again\"\n";
    CHECK_THAT(refusal(text), Contains("cycle") && Contains("student.backbone waits for its own output") &&
                                  Contains("again.backbone waits for its own output"));
}

TEST_CASE("an image that the patches do not divide is refused") {
    CHECK_THAT(refusal(restoring_with("size = 32", "size = 36")),
               Contains("36") && Contains("patch") && Contains("a.toml:"));
}

TEST_CASE("a loss over patches of another size than the image divides into is refused") {
    CHECK_THAT(refusal(restoring_with("use = \"restoration\"\npatch = 8", "use = \"restoration\"\npatch = 7")),
               Contains("loss") && Contains("7") && Contains("32"));
}

TEST_CASE("a tensor of another shape than the port's is refused with both shapes and the writer") {
    const auto text = replaced(restoring, "size = 32", "size = 32\nchannels = 3");
    CHECK_NOTHROW(planned(text));
    CHECK_THAT(
        refusal(replaced(text, "use = \"restoration\"\n",
                         "use = \"restoration\"\nreads = { mask = \"normal\" }\n")),
        Contains("loss.restoration reads normal as 'B 1 H W', which augment.slm writes as 'B 3 32 32'") &&
            Contains("dimension 1: expected 1, found 3"));
}

TEST_CASE("networks that cut the image into different numbers of tokens do not fit one loss") {
    const auto text =
        replaced(restoring, "[[pass]]", "project = { use = \"position-projector\", out = 8 }\n[[pass]]") +
        R"([networks.judge]
frozen = true
backbone = { use = "vit", size = "tiny", patch = 16, depth = 1 }
[networks.judge.heads]
project = { use = "position-projector", out = 8 }
prototypes = { use = "prototype-bank" }
[[pass]]
network = "judge"
view = "normal"
[[loss]]
use = "structure-contrast"
)";
    CHECK_THAT(refusal(text), Contains("loss.structure-contrast reads judge.prototypes as 'L K', which "
                                       "judge.prototypes writes as '4 8': dimension 0: L is 16, found 4"));
}

TEST_CASE("a port of another type than the tensor is refused with both") {
    const auto text = critic +
                      "[[loss]]\nuse = \"adversarial\"\nname = \"wrong\"\nside = \"fake\"\n"
                      "reads = { score = \"label\" }\n";
    CHECK_THAT(refusal(text),
               Contains("loss.wrong reads label as float, which the data writes as int64; connect 'score' to a "
                        "tensor of that type with reads = { score = "));
}

TEST_CASE("a pass without a view is refused where nothing writes what it needs") {
    CHECK_THAT(refusal(critic + "[networks.maker.heads]\nmake = { use = \"wgan-generator\", size = 32, width = "
                                "8 }\n[[pass]]\nnetwork = \"maker\"\n"),
               Contains("maker.make reads 'latent'") && Contains("which nothing writes") &&
                   Contains("name the one that is meant with reads = { latent = "));
}

TEST_CASE("a [[head]] and a pass of one name are refused, for both would write the same names") {
    CHECK_THAT(refusal(critic + "[[head]]\nuse = \"noise\"\nname = \"critic\"\n"),
               Contains("head.critic: found the name of the pass at ") &&
                   Contains("both would write 'critic.PORT'; give one of them another `name` or `as`"));
}

TEST_CASE("second derivatives through what has none are refused") {
    const auto text = restoring + R"([networks.critic]
backbone = { use = "wgan-critic", width = 8 }
[[pass]]
network = "critic"
view = "student.restored"
[[loss]]
use = "gradient-penalty"
reads = { score = "critic.score", input = "abnormal" }
)";
    CHECK_THAT(refusal(text),
               Contains("loss.gradient-penalty needs second derivatives of student.backbone (vit), whose "
                        "kernels have none; take a component that has them") &&
                   Contains("student.restore (restoration-decoder)") && !Contains("critic.backbone"));
    CHECK_NOTHROW(planned(replaced(text, "input = \"abnormal\"", "input = \"student.restored\"")));
}

TEST_CASE("a fit that reads what is made from a view of training is refused") {
    const auto text = restoring +
                      "[[head]]\nuse = \"gaussian-density\"\nname = \"density\"\nreads = { features = "
                      "\"student.cls\" }\n";
    CHECK_THAT(refusal(text), Contains("head.density takes in the training set and reads what is made from a "
                                       "view of augment.slm") &&
                                  Contains("point its reads at a [[pass]] on view = \"image\""));
    CHECK_NOTHROW(planned(replaced(text, "student.cls", "plain.cls") +
                          "[[pass]]\nnetwork = \"student\"\nview = \"image\"\nas = \"plain\"\nheads = []\n"));
}

TEST_CASE("a loss that reads nothing its phase trains is refused, and so is a network it does not reach") {
    CHECK_NOTHROW(planned(game));
    CHECK_THAT(refusal(replaced(game, "as = \"fake\"",
                                "as = \"fake\"\n[[pass]]\nnetwork = \"critic\"\nview = "
                                "\"image\"\nas = \"real\"") +
                       "reads = { score = \"real.score\" }\n"),
               Contains("loss.high reads nothing that a network trained in phase 'maker' writes") &&
                   Contains("no loss reaches network 'maker' in phase 'maker'") &&
                   Contains("or take it out of `trains`"));
}

TEST_CASE("a phase that has no parameters to train is refused") {
    CHECK_THAT(refusal(replaced(game, "trains = [\"maker\"]", "trains = [\"z\"]")),
               Contains("phase 'maker' trains z, where no parameter is to be trained"));
}

TEST_CASE("what a score reads and nothing writes is refused with the nearest name") {
    const auto plan = planned(game);
    CHECK_THAT(message_of<RecipeError>([&] { static_cast<void>(plan.needs({"loss.high.per_sampl"})); }),
               Contains("no pass, head or loss writes 'loss.high.per_sampl' (did you mean "
                        "'loss.high.per_sample'?); there are: "));
}

TEST_CASE("a monitor that watches nothing is refused with the nearest name") {
    const auto text = restoring + "[monitor]\nassignments = \"student.restord\"\n";
    CHECK_THAT(refusal(text), Contains("monitor watches 'student.restord', which nothing writes (did you mean "
                                       "'student.restored'?)") &&
                                  Contains(line_of(text, "[monitor]")));
}

TEST_CASE("a component that misses a number names the reads that came with open symbols") {
    host::Registry plugins;  // `scale` writes "B L d" for what it reads as "B L D"
    plugins.scan({{std::filesystem::path(HEARTH_TEST_BINARY_DIR) / "lib/hearth/plugins", "test"},
                  {std::filesystem::path(HEARTH_TEST_PLUGINS) / "misspelt_symbol", "test"}});
    Attempt attempt;
    attempt.file("a.toml",
                 restoring_with("restore = { use = \"restoration-decoder\",",
                                "gain = { use = \"scale\" }\nrestore = { use = \"restoration-decoder\", "
                                "reads = { tokens = \"student.scaled\" },"));
    const auto recipe = attempt.load();
    CHECK_THAT(message_of<Error>([&] { plan::Plan::build(recipe, plugins); }),
               Contains("student.restore: ") &&
                   Contains("dimension D is not known here (found 'd') (it reads student.scaled as 'B 16 d')"));
}

TEST_CASE("every mistake of a kind is reported at once") {
    const auto unresolved =
        refusal(replaced(replaced(restoring_with("\"slm\"", "\"sln\""), "patch = 8, depth", "patch = 0, depth"),
                         "\"restoration\"", "\"restoratoin\""));
    CHECK_THAT(unresolved, Contains("there is no augment 'sln'") && Contains("patch: found 0") &&
                               Contains("there is no loss 'restoratoin'"));

    const auto unwired =
        refusal(replaced(restoring_with("\"abnormal\"", "\"abnormla\""), "use = \"restoration\"\n",
                         "use = \"restoration\"\nreads = { mask = \"msak\", normal = \"nomal\" }\n"));
    CHECK_THAT(unwired, Contains("view 'abnormla'") && Contains("reads 'msak'") && Contains("reads 'nomal'"));
}

TEST_CASE("a refusal says what an override took away: often that is why") {
    Attempt attempt;
    attempt.file("a.toml", restoring);
    const auto recipe = attempt.load({"networks.student.heads.restore.use=mae-decoder"});
    const auto text = message_of<RecipeError>([&] { plan::Plan::build(recipe, registry()); });
    CHECK_THAT(text, Contains("student.restore reads 'restore'") &&
                         Contains("note: argument 'networks.student.heads.restore.use=mae-decoder': "
                                  "networks.student.heads.restore was restoration-decoder, whose options and "
                                  "wiring do not go on to another component: depth, width, heads"));
}
