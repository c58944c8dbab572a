// Training on a GPU beside training on the CPU: losses, gradients, resume, checkpoints that travel, memory that ends. Skipped where
// there is no GPU; HEARTH_TEST_DEVICE=cpu rehearses the same code, the CPU against itself, and
// HEARTH_TEST_METHODS=afire,baselines/dino with these alone. HEARTH_TEST_PREFIX names an installation to test instead of this build.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <tuple>

#include "host/cuda.hpp"
#include "train/check.hpp"
#include "train/support.hpp"

namespace train_on_device {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// Sums in another order, through all layers of a small network.
constexpr double loss_fp32 = 1e-4, gradient_fp32 = 2e-3;
/// After an update, in which an element whose gradient is rounding noise goes either way.
constexpr double later_loss_fp32 = 1e-2;
/// bf16 has 8 bits of significand. Where batch norm sees four images, gradients of the CPU's own bf16 are at a cosine of 0.87 to
/// those of its fp32.
constexpr double loss_bf16 = 0.05, cosine_bf16 = 0.75;
/// Of a gradient's largest element over all parameters: below it is what rounding leaves of a zero.
constexpr double rounding = 1e-4;
constexpr std::int64_t images = 4, steps_per_epoch = 6, total_steps = 24;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// None: there is no GPU, and nobody asked for a rehearsal.
std::optional<c10::Device> tested_device() {
    const auto asked = variable("HEARTH_TEST_DEVICE");
    if (!asked.empty()) return train::pick_device(asked);
    if (host::cuda_devices() > 0) return c10::Device(c10::kCUDA);
    WARN("skipped: no GPU here (HEARTH_TEST_DEVICE=cpu rehearses on the CPU)");
    return std::nullopt;
}

/// bin/hearth, lib/hearth/plugins.
fs::path prefix() {
    const auto named = variable("HEARTH_TEST_PREFIX");
    return named.empty() ? fs::path(HEARTH_TEST_BINARY_DIR) : fs::path(named);
}

fs::path recipes() {
    const auto named = variable("HEARTH_TEST_PREFIX");
    return named.empty() ? fs::path(HEARTH_TEST_SOURCE_DIR) / "recipes"
                         : fs::path(named) / "share/hearth/recipes";
}

const host::Registry& plugins() {
    static const host::Registry loaded = [] {
        host::Registry made;
        made.scan({{prefix() / "lib/hearth/plugins", "test"}});
        return made;
    }();
    return loaded;
}

/// Products in fp32 are of fp32, and what runs twice comes out alike where there is a kernel that does.
class Exact {
  public:
    Exact() {
        at::set_num_threads(1);                           // not worth more at these sizes
        setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);  // read when cuBLAS is first used
        set(false, false);
        at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
    }
    ~Exact() {
        set(cublas_, cudnn_);
        at::globalContext().setDeterministicAlgorithms(false, false);
    }
    Exact(const Exact&) = delete;
    Exact& operator=(const Exact&) = delete;

  private:
    static void set(bool cublas, bool cudnn) {
        at::globalContext().setAllowTF32CuBLAS(cublas);
        at::globalContext().setAllowTF32CuDNN(cudnn);
    }
    bool cublas_ = at::globalContext().allowTF32CuBLAS();
    bool cudnn_ = at::globalContext().allowTF32CuDNN();
};

/// A shipped recipe with what makes it small.
struct Method {
    std::string recipe;
    std::vector<std::string> smaller;
};

/// Of each method one, and of each way to put them together.
const std::vector<Method>& methods() {
    const std::string heads = "networks.student.heads.", crops = "augment.multi-crop.";
    const std::vector<std::string> vit = {"networks.student.backbone.size=tiny",
                                          "networks.student.backbone.depth=2", "data.size=64"},
                                   restore = {heads + "restore.depth=1", heads + "restore.width=64",
                                              heads + "restore.heads=2", "augment.slm.size=[8, 16]"},
                                   decode = {heads + "decode.depth=1", heads + "decode.width=64",
                                             heads + "decode.heads=2"},
                                   global = {crops + "global_size=64"},
                                   local = {crops + "local_size=32", crops + "local_crops=2"},
                                   project = {heads + "project.out=256"}, mlp = {heads + "project.hidden=64"},
                                   views = {"augment.two-view.size=64"};
    const auto all = [](std::initializer_list<std::vector<std::string>> parts) {
        std::vector<std::string> out;
        for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
        return out;
    };
    static const std::vector<Method> made = {
        {"afire", all({vit, restore})},
        {"afire-official", all({vit, restore})},
        {"baselines/anatpaste", {"data.size=128"}},
        {"baselines/barlow-twins", all({vit, views, mlp})},
        {"baselines/byol",
         {"networks.online.backbone.size=tiny", "networks.online.backbone.depth=2", "data.size=64",
          "augment.two-view.size=64", "networks.online.heads.project.hidden=64",
          "networks.online.heads.predict.hidden=64"}},
        {"baselines/cutpaste", {"data.size=64"}},
        {"baselines/dino", all({vit, global, local, project})},
        {"baselines/f-anogan",
         {"networks.generator.heads.make.width=16", "networks.critic.backbone.width=16",
          "networks.encoder.backbone.width=16"}},
        {"baselines/ibot", all({vit, global, local, project})},
        {"baselines/mae", all({vit, global, decode})},
        {"baselines/moco-v2", all({{"data.size=64", "loss.info-nce.queue=64"}, views})},
        {"baselines/moco-v3", all({vit, views, mlp})},
        {"baselines/pcl",
         all({vit, {"augment.two-view.size=64", "loss.info-nce.queue=64", "loss.proto-nce.clusters=[2, 3]"}})},
        {"baselines/selfpatch", all({vit, global, local, {heads + "image.out=256", heads + "patch.out=64"}})},
        {"baselines/simclr", all({vit, views})},
        {"baselines/swav",
         all({vit, global, local, {heads + "prototypes.out=32", "loss.swapped-prediction.queue=16"}})},
        {"baselines/vicreg", all({vit, views, mlp})},
        {"childcxr/supervised-tiny", all({vit, global})},
        {"eval/segment", all({vit, {heads + "segment.width=16"}})},
        {"hybrids/dino-restoration", all({vit, restore, global, local, project})},
        {"hybrids/mae-lesions", all({vit, global, decode, {"augment.slm.size=[8, 16]"}})},
    };
    return made;
}

/// All of them, or those that HEARTH_TEST_METHODS names, comma separated.
std::vector<Method> tested_methods() {
    const auto asked = variable("HEARTH_TEST_METHODS");
    if (asked.empty()) return methods();
    std::vector<Method> out;
    for (const auto& method : methods())
        if (("," + asked + ",").find("," + method.recipe + ",") != std::string::npos) out.push_back(method);
    REQUIRE(std::ssize(out) == std::ranges::count(asked, ',') + 1);
    return out;
}

std::vector<recipe::Recipe> small_stages(const Method& method) {
    auto overrides = method.smaller;
    overrides.emplace_back("data.source=phantom");
    setenv("CHILDCXR", "/films", 1);
    auto stages = recipe::stages(recipe::load(recipes() / (method.recipe + ".toml"), overrides));
    unsetenv("CHILDCXR");
    std::erase_if(stages, [](const auto& stage) { return stage.losses.empty(); });
    for (auto& stage : stages) {
        stage.train.batch = images;
        stage.train.accumulate = 1;
    }
    return stages;
}

/// What two steps computed: the terms of the first backward pass with its gradients, those of all that come after updates, and
/// everything that a checkpoint has of weights after both.
struct Steps {
    std::vector<std::pair<std::string, double>> losses, later_losses;
    std::map<std::string, at::Tensor> gradients, weights;
    double largest_lr = 0;
};

Steps steps_on(c10::Device device, recipe::Recipe recipe, const std::string& precision) {
    recipe.train.precision = precision;
    auto plan = plan::Plan::initial(recipe, plugins());
    const auto loader = train::generated_batches(recipe, plan, images);
    const auto source = train::endless(*loader);
    plan.to(device);
    plan.train(true);
    train::Stepper stepper(recipe, plan, device);
    Context context;
    context.device = device;
    context.seed = train::seed_of(recipe);
    context.progress = {
        .step = 1000, .total_steps = 10000, .steps_per_epoch = 1};  // nothing is frozen any more
    Steps out;
    const auto watch = [&](const plan::StepOutput& step, std::int64_t, bool) {
        const bool first = out.losses.empty();
        auto& losses = first ? out.losses : out.later_losses;
        losses.emplace_back("loss", step.total.item<double>());
        for (const auto& [name, value] : step.terms) losses.emplace_back(name, value.item<double>());
        for (const auto& [name, parameter] : plan.trained_parameters())
            if (first && parameter.grad().defined())
                out.gradients.emplace(name, parameter.grad().detach().cpu().clone());
    };
    for (int i = 0; i < 2; ++i) {
        REQUIRE(stepper.step(context, source, watch).updated);
        ++context.progress.step;
    }
    for (const auto& updater : stepper.updaters())
        out.largest_lr = std::max(out.largest_lr, updater.optimizer->lr(context.progress));
    for (const auto& [name, tensor] : plan.state()) out.weights.emplace(name, tensor.detach().cpu().clone());
    return out;
}

/// On the CPU in fp32, computed once.
const Steps& reference(const Method& method, const recipe::Recipe& stage) {
    static std::map<std::string, Steps> known;
    const auto name = method.recipe + (stage.stage ? " " + stage.stage->name : "");
    if (!known.contains(name)) known.emplace(name, steps_on(c10::kCPU, stage, "fp32"));
    return known.at(name);
}

double largest(const at::Tensor& tensor) {
    return tensor.numel() == 0 ? 0 : tensor.abs().max().item<double>();
}

using Losses = std::vector<std::pair<std::string, double>>;
void check_losses(const Losses& expected, const Losses& found, double tolerance) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        INFO(found[i].first << ", number " << i);
        REQUIRE(found[i].first == expected[i].first);
        CHECK(found[i].second == Approx(expected[i].second).epsilon(tolerance).margin(tolerance));
    }
}

/// Of each parameter: the largest difference by the largest element.
void check_gradients(const Steps& expected, const Steps& found) {
    REQUIRE(found.gradients.size() == expected.gradients.size());
    double largest_of_all = 0;
    for (const auto& [name, gradient] : expected.gradients)
        largest_of_all = std::max(largest_of_all, largest(gradient));
    REQUIRE(largest_of_all > 0);
    for (const auto& [name, gradient] : expected.gradients) {
        INFO(name);
        REQUIRE(found.gradients.contains(name));
        const double difference = largest(found.gradients.at(name) - gradient);
        CHECK(difference <= gradient_fp32 * largest(gradient) + rounding * largest_of_all);
    }
}

/// An element whose gradient is rounding noise may move by the learning rate, either way, in each of two steps.
void check_weights(const Steps& expected, const Steps& found) {
    REQUIRE(found.weights.size() == expected.weights.size());
    for (const auto& [name, weight] : expected.weights) {
        INFO(name);
        REQUIRE(found.weights.contains(name));
        const double difference = largest(found.weights.at(name).to(at::kDouble) - weight.to(at::kDouble));
        CHECK(difference <= 5 * expected.largest_lr + 2e-3 * largest(weight));
    }
}

double cosine(const Steps& a, const Steps& b) {
    double product = 0, a_squared = 0, b_squared = 0;
    for (const auto& [name, gradient] : a.gradients) {
        const auto x = gradient.to(at::kDouble), y = b.gradients.at(name).to(at::kDouble);
        product += (x * y).sum().item<double>();
        a_squared += x.square().sum().item<double>();
        b_squared += y.square().sum().item<double>();
    }
    return product / std::sqrt(a_squared * b_squared);
}

std::string tiny(const std::string& device) {
    return fmt::format(R"(schema = 1
name = "tiny"
extends = ["{}"]
[data]
phantom_count = 48
size = 32
workers = 2
[networks.student]
backbone = {{ depth = 1 }}
[networks.student.heads]
project = {{ out = 8, hidden = 32, bottleneck = 16 }}
restore = {{ depth = 1, width = 32, heads = 2 }}
[train]
epochs = 4
batch = 8
device = "{}"
precision = "fp32"
threads = 1
log_every = 1
checkpoint_every = 1
[optimizer]
lr = {{ from = 1e-3, warmup = 1 }}
[probe]
every = 0
)",
                       (recipes() / "base/phantom-tiny.toml").string(), device);
}

/// Trains `name` of a folder on a device, or goes on with it; the checkpoint it ends with.
base::SafeTensors trained(const TemporaryFolder& folder, const std::string& name, c10::Device device,
                          train::Resume resume = train::Resume::no) {
    const auto recipe = recipe::load(folder.write(name + ".toml", tiny(device.str())));
    train::TrainRequest request;
    request.out = folder / name;
    request.quiet = true;
    request.resume = resume;
    train::Trainer trainer(recipe, plugins(), request);
    CHECK(trainer.run().steps == total_steps);
    auto last = base::read_safetensors(folder / (name + "/checkpoints/last.safetensors"));
    CHECK(last.metadata.at("hearth.step") == std::to_string(total_steps));
    return last;
}

/// As if the run had been stopped after its second epoch.
void stop_in_the_middle(const TemporaryFolder& folder, const std::string& name) {
    const auto checkpoints = folder / name / "checkpoints";
    fs::copy_file(checkpoints / fmt::format("step_{}.safetensors", 2 * steps_per_epoch),
                  checkpoints / "last.safetensors", fs::copy_options::overwrite_existing);
}

/// Trained on one device from the middle on, otherwise on another: near the run that stayed.
void check_near(const base::SafeTensors& stayed, const base::SafeTensors& moved) {
    REQUIRE(moved.tensors.size() == stayed.tensors.size());
    for (const auto& [name, tensor] : stayed.tensors) {
        if (name.starts_with("optimizer.") || name.ends_with("qkv.bias")) continue;  // keys' biases are noise
        INFO(name);
        const double difference = largest(moved.find(name).to(at::kDouble) - tensor.to(at::kDouble));
        CHECK(difference <= 1e-3 + 1e-2 * largest(tensor));
    }
}

/// The exit code of a shell's command line, and what it printed.
std::pair<int, std::string> shell(const TemporaryFolder& folder, const std::string& line) {
    const auto printed = folder / "printed.txt";
    const int status = std::system(fmt::format("( {} ) >'{}' 2>&1 </dev/null", line, printed.string()).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), folder.read("printed.txt")};
}

}  // namespace

TEST_CASE("in fp32 a device computes the losses, gradients and weights of the CPU, method by method") {
    const auto device = tested_device();
    if (!device) return;
    const Exact exact;
    for (const auto& method : tested_methods())
        for (const auto& stage : small_stages(method)) {
            INFO(method.recipe << ", " << (stage.stage ? stage.stage->name : "one stage"));
            const auto& expected = reference(method, stage);
            const auto found = steps_on(*device, stage, "fp32");
            check_losses(expected.losses, found.losses, loss_fp32);
            check_losses(expected.later_losses, found.later_losses, later_loss_fp32);
            check_gradients(expected, found);
            check_weights(expected, found);
        }
}

TEST_CASE("in bf16 a device comes near the CPU's fp32, method by method") {
    const auto device = tested_device();
    if (!device) return;
    const Exact exact;
    for (const auto& method : tested_methods())
        for (const auto& stage : small_stages(method)) {
            if (stage.train.precision == "fp32") continue;  // what the recipe says is not meant for bf16
            INFO(method.recipe << ", " << (stage.stage ? stage.stage->name : "one stage"));
            const auto& expected = reference(method, stage);
            const auto found = steps_on(*device, stage, "bf16");
            CHECK(found.losses[0].second == Approx(expected.losses[0].second).epsilon(loss_bf16));
            CHECK(cosine(expected, found) > cosine_bf16);
            CHECK(cosine(expected, found) < 1 - 1e-9);  // bf16 it was
        }
}

TEST_CASE("a run on a device goes on exactly, as far as its kernels repeat themselves") {
    const auto device = tested_device();
    if (!device) return;
    const Exact exact;
    const TemporaryFolder folder;
    const auto whole = trained(folder, "whole", *device), again = trained(folder, "again", *device);
    stop_in_the_middle(folder, "again");
    const auto resumed = trained(folder, "again", *device, train::Resume::yes);
    const auto unlike = difference(whole, again);
    if (unlike.empty()) {
        CHECK(difference(whole, resumed) == "");
    } else {
        CHECK(device->is_cuda());  // the CPU's kernels repeat themselves
        WARN("two runs alike differ in " << unlike << ": a resumed one is compared within a tolerance");
        check_near(whole, resumed);
    }
}

TEST_CASE("a checkpoint of a device is read on the CPU and one of the CPU on a device, bit for bit") {
    const auto device = tested_device();
    if (!device) return;
    const TemporaryFolder folder;
    const std::tuple<const char*, c10::Device, c10::Device> ways[] = {{"from-device", *device, c10::kCPU},
                                                                      {"from-cpu", c10::kCPU, *device}};
    for (const auto& [name, from, to] : ways) {
        INFO(name);
        const auto written = trained(folder, name, from);
        auto plan = plan::Plan::initial(recipe::load(folder.write("other.toml", tiny(to.str()))), plugins());
        plan.to(to);
        plan.load(written, "the checkpoint");
        for (const auto& [weight, tensor] : plan.state()) {
            INFO(weight);
            CHECK(tensor.device().type() == to.type());
            CHECK(at::equal(tensor.detach().cpu(), written.find(weight)));
        }
    }
}

TEST_CASE("a run that began on a device goes on on the CPU, and the other way round") {
    const auto device = tested_device();
    if (!device) return;
    const Exact exact;
    const TemporaryFolder folder;
    const auto on_cpu = trained(folder, "cpu", c10::kCPU), on_device = trained(folder, "device", *device);
    stop_in_the_middle(folder, "device");
    check_near(on_device, trained(folder, "device", c10::kCPU, train::Resume::yes));
    stop_in_the_middle(folder, "cpu");
    check_near(on_cpu, trained(folder, "cpu", *device, train::Resume::yes));
}

TEST_CASE("a batch that the device has no memory for ends the run with exit code 6 and a word on train.batch") {
    const auto device = tested_device();
    if (!device) return;
    const TemporaryFolder folder;
    const auto recipe = folder.write("large.toml", tiny(device->str()));
    // A small part of a GPU's memory; on the CPU 4 GiB of addresses. The batch wants more than either.
    const std::string limit = device->is_cuda()
                                  ? "export PYTORCH_CUDA_ALLOC_CONF=per_process_memory_fraction:0.002"
                                  : "ulimit -v 4194304";
    const auto command = fmt::format(
        "{} && '{}' train '{}' --no-report --quiet --out '{}' data.size=64 data.phantom_count=1024 "
        "networks.student.backbone.depth=8 train.epochs=1 train.batch=",
        limit, (prefix() / "bin/hearth").string(), recipe.string(), (folder / "run").string());
    const auto [code, printed] = shell(folder, command + "1024");
    INFO(printed);
    CHECK(code == static_cast<int>(ExitCode::out_of_memory));
    CHECK_THAT(printed, Contains("train.batch"));
    CHECK(read_json(folder / "run/run.json")["exit_code"] == static_cast<int>(ExitCode::out_of_memory));
}

}  // namespace train_on_device
